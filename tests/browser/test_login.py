"""People sign in at a real OpenID Connect provider, in a real browser, and may do what their role says."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from engine.embeddings.samples import synthetic
from engine.tradeoff import save_sweep, sweep
from engine.workspace import RoleList, Workspace
from tests.browser.accessibility import clipped, drawn, findings
from tests.browser.oidc_provider import CLIENT_ID, running_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.browser.conftest import Server, Tab
    from tests.browser.oidc_provider import Provider

pytestmark = pytest.mark.browser

COOKIE_SECRET = secrets.token_urlsafe(32)
PEOPLE: dict[str, dict[str, Any]] = {
    "vera": {"name": "Vera <b>Reader</b>", "email": "vera@example.com", "email_verified": True, "groups": ["readers"]},
    "otto": {"name": "Otto", "email": "Otto@Example.com", "email_verified": True, "groups": ["readers", "on-call"]},
    "ada": {"name": "Ada", "email": "ada@example.com", "groups": []},
    "nora": {"name": "Nora", "email": "nora@example.com", "groups": ["marketing"]},
    "mallory": {"name": "Mallory", "email": "ada@example.com", "email_verified": False},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """Run a provider that knows a viewer, an operator, an admin, and two people who shall not get in."""
    with running_provider(PEOPLE) as running:
        yield running


@pytest.fixture(scope="module")
def company(
    provider: Provider, app_below: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Run an app with a login; its workspace has a small sweep, so that nobody starts the first one."""

    def written(url: str) -> str:
        return f"""
[auth]
redirect_uri = "{url}/oauth2callback"
cookie_secret = "{COOKIE_SECRET}"
client_id = "{CLIENT_ID}"
client_secret = "{provider.client_secret}"
server_metadata_url = "{provider.url}/.well-known/openid-configuration"

[dimshift]
role_claim = "groups"
[dimshift.claim_roles]
readers = "viewer"
on-call = "operator"
"""

    folder = tmp_path_factory.mktemp("company")
    with app_below(folder, secrets=written, environment={"DIMSHIFT_ADMINS": "ada@example.com"}) as server:
        with Workspace.open(server.workspace) as workspace:
            save_sweep(workspace, sweep(synthetic(200, 8, n_queries=30), (4, 8)))
        yield server


def sign_in(tab: Tab, sub: str, *, path: str = "/") -> Tab:
    """Sign somebody in, from the page that everybody sees who is not."""
    tab.open(path).key("log_in_").locator("button").click()
    tab.page.get_by_role("link", name=sub).click()
    tab.page.locator(".st-key-who, .st-key-log_out").first.wait_for()
    return tab.settled()


def sign_out(tab: Tab) -> Tab:
    if tab.key("who").count():
        press(tab, "who")
    press(tab, "log_out").key("log_in_").wait_for()
    return tab.settled()


def press(tab: Tab, key: str) -> Tab:
    tab.key(key).locator("button").first.click()
    return tab.settled()


def fill(tab: Tab, key: str, text: str) -> None:
    tab.key(key).locator("input").fill(text)


def is_enabled(tab: Tab, key: str) -> bool:
    return bool(tab.key(key).locator("button").first.is_enabled())


@pytest.mark.slow
def test_what_people_may_do_is_what_their_role_says_now(new_tab: Callable[..., Tab], company: Server) -> None:
    """A viewer cannot kill, an operator cannot restore, an admin can, and gives a viewer's open tab another role."""
    vera, otto, ada = (sign_in(new_tab(company, apart=True), sub) for sub in ("vera", "otto", "ada"))
    vera.open("/people")
    otto.open("/flags")
    ada.open("/flags")
    vera.key("who").get_by_text("Vera <b>Reader</b> · Viewer").wait_for()
    assert vera.key("who").locator("b").count() == 0, "a name from the provider is no markup"
    assert not is_enabled(vera, "kill_switch")
    press(otto, "kill_switch")
    assert otto.key("kill_name").count() == 0, "who is signed in is not asked for a name"
    fill(otto, "kill_reason", "p99 doubled")
    fill(otto, "kill_typed", "kill")
    otto.page.get_by_role("button", name="Switch every flag to safe").click()
    for tab in (otto, vera):
        tab.page.locator(".st-key-kill_banner").get_by_text("by otto@").wait_for(timeout=8000)
    otto.key("restore").wait_for()
    assert not is_enabled(otto, "restore")
    fill(ada, "restore_reason", "index rebuilt")
    fill(ada, "restore_typed", "restore")
    press(ada, "restore")
    ada.page.locator(".st-key-kill_banner").wait_for(state="detached")
    with Workspace.open(company.workspace) as workspace:
        done = [(event.actor, event.action) for event in workspace.audit(kind="switch")]
    assert done == [("otto@example.com", "kill"), ("ada@example.com", "restore")]

    ada.open("/people")
    fill(ada, "role_name", "Vera@example.com")
    ada.key("role_choice").locator("input").click()
    ada.page.get_by_role("option", name="Operator").click()
    press(ada, "role_give").says("by ada@")
    assert is_enabled(vera.open("/people"), "kill_switch")
    assert not is_enabled(vera, "role_give")
    with Workspace.open(company.workspace) as workspace:
        RoleList(workspace).remove("vera@example.com", expected_version=None, actor="shell")
    press(vera, "kill_switch")  # which stands there as it was drawn
    fill(vera, "kill_typed", "kill")
    vera.page.get_by_role("button", name="Switch every flag to safe").click()
    vera.says("Only operators and admins may do this, kill")
    assert not is_enabled(vera, "kill_switch")


@pytest.mark.slow
def test_only_people_with_a_role_get_in_and_a_log_out_ends_every_tab(
    new_tab: Callable[..., Tab], company: Server, provider: Provider
) -> None:
    """Whoever has no role or no verified address sees why, a way out and no page; the log tells no secret."""
    tab = new_tab(company, apart=True)
    sign_in(tab, "nora").says("Only people with a role may use this workspace; found nora@")
    assert tab.page.locator("[data-testid=stSidebarNav]").count() == 0
    sign_out(tab)
    sign_in(tab, "mallory").open("/flags").says("The provider must have verified the e-mail address")
    assert tab.key("kill_switch").count() == 0
    sign_out(tab)
    sign_in(tab, "vera").open("/people")
    other = type(tab)(page=tab.page.context.new_page(), url=tab.url).open("/people").says("What each role may do")
    sign_out(tab)
    other.says("You have logged out in another tab")
    said = (company.workspace.parent / "log").read_text(encoding="utf-8")
    assert COOKIE_SECRET not in said
    assert provider.client_secret not in said


def test_signing_in_leads_to_the_page_that_was_asked_for(new_tab: Callable[..., Tab], company: Server) -> None:
    """The page opens with the query parameters that pages have and no others; once, and only in that tab."""
    with Workspace.open(company.workspace) as workspace:
        run = workspace.runs(kind="sweep")[0].id
    tab = new_tab(company, apart=True)
    sign_in(tab, "vera", path=f"/queries?run={run}&queries=Groups&next=https://example.org&embed=true")
    tab.page.wait_for_url(f"{company.url}/queries?*")
    tab.settled().says("Queries")
    query = parse_qs(urlsplit(tab.page.url).query)
    assert query == {"run": [run], "queries": ["Groups"]}
    tab.open().says("Keep").page.wait_for_timeout(500)
    assert urlsplit(tab.page.url).path == "/"


@pytest.mark.parametrize("is_inside", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_ways_in_keep_nobody_out(new_tab: Callable[..., Tab], company: Server, is_inside: bool) -> None:
    """The page that asks to sign in and the page of people have no serious finding of axe-core and suit a phone."""
    tab = new_tab(company, apart=True)
    tab.open().key("log_in_").wait_for()
    if is_inside:
        sign_in(tab, "ada").open("/people").says("What each role may do")
    assert findings(drawn(tab)) == []
    tab.page.set_viewport_size({"width": 390, "height": 844})
    assert clipped(drawn(tab)) == []
