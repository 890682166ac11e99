"""Scripts that a page names before they are asked for."""

from __future__ import annotations

from reports.web.modules import imported, module
from reports.web.site import static_files

SCRIPTS = {
    "page.js": b"""// Imports.
//   import { x } from "./shown.js";
import {
  a,
  b,
} from "./a.js";
import "./b.js";
const y = 1;
""",
    "a.js": b'import { b } from "./b.js";\nimport { p } from "./page.js";\n',
    "b.js": b'export { c } from "./c.js";\n',
    "c.js": b'/* import x from "./shown.js"; */\n',
}


def test_what_is_imported_is_named_once_whatever_imports_it() -> None:
    assert imported("page.js", SCRIPTS) == ("a.js", "b.js", "c.js")
    assert imported("c.js", SCRIPTS) == ()


def test_page_names_what_its_script_imports_before_the_script_itself() -> None:
    scripts = {name: one.content for name, one in static_files().items()}
    told = module("worklist.js", scripts)

    assert told.splitlines()[0] == '<link rel="modulepreload" href="/static/keys.js">'
    assert told.splitlines()[-1] == '<script type="module" src="/static/worklist.js"></script>'
    for name in (one for one in scripts if one.endswith(".js")):
        assert set(imported(name, scripts)) <= scripts.keys()
