"""The verb groups of the `dimshift` command, a file each: parse options, one engine call, print."""
