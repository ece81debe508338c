"""What every dimension and code type costs: bytes, the shortlist that reaches full quality, money."""
