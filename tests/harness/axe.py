"""Rules of accessibility, checked in the page by axe-core, which others wrote."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.harness import npm

_GRAVE = frozenset({"serious", "critical"})


def violations(page: Page, *, grave: bool = True, only: str = "") -> list[str]:
    """What a person with a disability would stumble over, a line each.

    grave: only what is serious or critical. only: one rule, for a page that all of them saw before.
    """
    if not only:
        page.evaluate((npm.modules() / "axe-core" / "axe.min.js").read_text())
    found: list[dict[str, Any]] = page.evaluate(
        "(rules) => axe.run(document, {runOnly: rules}).then(({ violations }) => violations)",
        [only] if only else ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    )
    return [
        f"{one['impact']}: {one['id']} ({one['help']}): {', '.join(' '.join(node['target']) for node in one['nodes'])}"
        for one in found
        if not grave or one["impact"] in _GRAVE
    ]
