"""Away to the hospital's provider and back, in a browser that keeps cookies from navigations that begin elsewhere."""

from __future__ import annotations

import threading
from datetime import datetime
from pathlib import Path

from playwright.sync_api import Page, expect
from sqlalchemy import delete, select

from agent.config import Config, WebConfig
from agent.pages import make_pages
from agent.serving import make_server
from dicom_node.config import NodeConfig
from dicom_node.database import Database
from reports.people.config import OidcConfig
from reports.people.rights import Role
from reports.people.tables import Attendance
from tests.harness.node import free_port, wait_until
from tests.harness.oidc import CLIENT, SECRET, provider
from tests.harness.people import add_user

PEOPLE = {"kim-17": {"preferred_username": "kim", "family_name": "Kim", "given_name": "Minjun", "groups": ["rads"]}}


def proven(database: Database) -> datetime:
    """When the person in the one session that there is last proved it."""
    with database.read() as tx:
        return tx.scalars(select(Attendance.proven_at)).one()


def test_person_signs_in_at_the_provider_and_comes_back_to_the_page_that_was_wanted(
    page: Page, tmp_path: Path, sqlite_url: str
) -> None:
    port = free_port()
    pages = f"http://127.0.0.1:{port}"  # another site than localhost, where the provider is
    with provider(PEOPLE, pages=pages) as issuer:
        oidc = OidcConfig.model_validate(
            {
                "issuer": issuer,
                "client_id": CLIENT,
                "client_secret": SECRET,
                "roles": {"rads": "radiologist"},
                "organization": "Example Hospital",
            }
        )
        node = NodeConfig(data_folder=tmp_path, reserve_mebibytes=1)
        config = Config(node=node, web=WebConfig(port=port), oidc=oidc)
        database = Database(sqlite_url)
        add_user(database, "administrator", Role.ADMINISTRATOR)
        server = make_server(make_pages(config, database), config.web)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        wait_until(lambda: server.started, "the pages are served")

        page.goto(f"{pages}/account")
        page.get_by_role("link", name="Sign in with the hospital's account").click()
        page.get_by_placeholder("Enter any login").fill("kim-17")
        page.get_by_placeholder("and password").fill("x")
        page.get_by_role("button", name="Sign-in").click()
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url(f"{pages}/account")
        expect(page.locator("[data-login]")).to_have_attribute("data-login", "kim")
        cookies = {cookie["name"]: cookie["sameSite"] for cookie in page.context.cookies(pages)}
        before = proven(database)
        asking = "import('/static/session.js').then((they) => they.askPassword('To withdraw'))"
        page.evaluate(f"void {asking}.then((answer) => window.proven = answer)")  # goes on when the dialog is closed
        with page.expect_popup() as opened:
            page.get_by_role("dialog").get_by_role("link", name="Sign in with the hospital's account").click()
        again = opened.value
        again.get_by_placeholder("Enter any login").fill("kim-17")
        again.get_by_placeholder("and password").fill("x")
        again.get_by_role("button", name="Sign-in").click()
        expect(again.get_by_text("The provider has said that it is you.")).to_be_visible()
        again.close()
        page.get_by_role("button", name="I have signed in there").click()
        wait_until(lambda: page.evaluate("window.proven === true"), "it was proven")  # a wait in the page would eval
        assert proven(database) > before
        with database.write() as tx:
            tx.execute(delete(Attendance))
        asking = "import('/static/session.js').then((they) => they.signedIn())"
        page.evaluate(f"void {asking}.then(() => window.back = true)")
        over = page.get_by_role("dialog", name="Your session is over")
        link = over.get_by_role("link", name="Sign in with the hospital's account")
        expect(link).to_be_visible()
        expect(over.locator("input")).to_have_count(0)  # there is no password to type
        with page.expect_popup() as opened:
            link.click()
        opened.value.get_by_placeholder("Enter any login").fill("kim-17")
        opened.value.get_by_placeholder("and password").fill("x")
        opened.value.get_by_role("button", name="Sign-in").click()
        expect(opened.value.get_by_text("The provider has said that it is you.")).to_be_visible()
        opened.value.close()
        over.get_by_role("button", name="I have signed in").click()
        wait_until(lambda: page.evaluate("window.back === true"), "the session is back")
        page.get_by_role("button", name="Sign out", exact=True).first.click()
        page.wait_for_url(f"{issuer}/session/end?**")

        server.should_exit = True
        thread.join(60)
        database.close()
    assert cookies["wetread"] == "Strict"
