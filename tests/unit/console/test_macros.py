"""The macros that every page is made of: they escape, they label, and they carry the CSRF token."""

from __future__ import annotations

import re
from types import SimpleNamespace

import jinja2
import pytest

from ruapi.console import charts
from ruapi.console.assets import Assets
from ruapi.console.rendering import Templates

HOSTILE = "\"'><img src=x onerror=alert(1)>"
NOW = 1_795_721_411_042
CONTEXT = {
    "page": SimpleNamespace(title=HOSTILE, section="tokens"),
    "me": SimpleNamespace(email=HOSTILE, is_admin=True, posted_nano=37_120_499_999, held_nano=184_000_000),
    "csrf": "c" * 64,
    "theme": "dark",
    "shortcuts": "off",
    "flash": [
        SimpleNamespace(
            kind="ok", text=HOSTILE, undo=SimpleNamespace(action=HOSTILE, label=HOSTILE, fields={"id": HOSTILE})
        )
    ],
    "here": HOSTILE,
    "path": HOSTILE,
    "now": NOW,
    "service": HOSTILE,
    "x": HOSTILE,
    "chart": charts.histogram([charts.Bucket(HOSTILE, 1, 1)], caption=HOSTILE),
}


PAGES: dict[str, str] = {}


@pytest.fixture(scope="module")
def templates() -> Templates:
    made = Templates(Assets())
    loader = made._environment.loader
    assert loader is not None
    made._environment.loader = jinja2.ChoiceLoader([jinja2.DictLoader(PAGES), loader])
    return made


def shown(templates: Templates, source: str) -> str:
    """What a page with this text renders to."""
    name = f"under-test-{len(PAGES)}.html"
    PAGES[name] = source
    return templates.render(name, CONTEXT)


EVERY_MACRO = [
    "ui.button(x, href=x, icon='copy', title=x)",
    "ui.button(x, kind='danger', name=x)",
    "ui.post_button(x, x, fields={'a': x}, removes_row=true)",
    "ui.pill('ok', x)",
    "ui.tag(x)",
    "ui.meter(5, 10, label=x)",
    "ui.spend(5, 10, x)",
    "ui.stats([{'label': x, 'value': x, 'note': x}, {'label': x, 'value': x}])",
    "ui.page_head(x, x, beside=x)",
    "ui.breadcrumbs([(x, x), (x, none)])",
    "ui.notice('warn', x, title=x)",
    "ui.empty(x, x)",
    "ui.inline_copy(x, x, x)",
    "ui.secret(x, x, x)",
    "ui.code(x, x, x)",
    "ui.filters([(x, x, true, 3)], x)",
    "ui.menu_link(x, x, icon='pencil')",
    "ui.menu_post(x, x, fields={'a': x})",
    "ui.definitions([(x, x)])",
    "ui.truncated(x, href=x)",
    "ui.truncated(x)",
    "ui.help_link(x, x)",
    "forms.error_summary({'name': x, '': x})",
    "forms.text('a', x, value=x, hint=x, error=x, optional=true, placeholder=x)",
    "forms.password('a', x, hint=x, error=x)",
    "forms.number('a', x, value=x, hint=x, error=x)",
    "forms.money('a', x, value=x, hint=x, error=x)",
    "forms.select('a', x, [(x, x)], value=x, hint=x, error=x)",
    "forms.checkbox('a', x, checked=true, value=x, hint=x, error=x)",
    "forms.choices('a', x, [(x, x)], value=x, hint=x, error=x)",
    "forms.radios('a', x, [(x, x, x)], value=x, hint=x, error=x)",
    "forms.textarea('a', x, value=x, hint=x, error=x)",
    "forms.search('a', x, value=x)",
    "forms.confirm_typed('a', x, error=x)",
    "tables.head([(x, x), (x, 'actions'), (x, 'select', x)])",
    "tables.sortable(x, x, 'ascending')",
    "tables.select_row('a', x, x, form='bulk')",
    "tables.pager(x, x, x)",
    "charts.chart(chart)",
]


@pytest.mark.parametrize("call", EVERY_MACRO)
def test_a_macro_lets_no_markup_of_a_stranger_through(templates, call):
    page = shown(templates, "{{ " + call + " }}")
    assert "onerror=alert(1)" in page
    assert "<img" not in page
    assert not re.search(r"\sonerror=alert\(1\)>", page)


def test_the_frame_lets_no_markup_of_a_stranger_through(templates):
    for frame in ("shell.html", "plain.html"):
        page = shown(templates, '{% extends "' + frame + '" %}{% block content %}{{ x }}{% endblock %}')
        assert "<img" not in page
        assert '<html lang="en" data-theme="dark" data-shortcuts="off">' in page
        assert page.count('role="status"') == 1


def test_the_title_leads_with_the_page(templates):
    page = templates.render(
        "shell.html", {**CONTEXT, "page": SimpleNamespace(title="Tokens", section="tokens"), "service": "ruapi"}
    )
    assert "<title>Tokens · ruapi</title>" in page
    assert page.count('href="/tokens" aria-current="page"') == 2  # the rail and the top bar
    assert "/admin/users" in page


def test_who_is_no_administrator_sees_no_administration(templates):
    me = SimpleNamespace(email="a@b.test", is_admin=False, posted_nano=0, held_nano=0)
    page = templates.render("shell.html", {**CONTEXT, "me": me})
    assert "/admin/" not in page
    assert " held</dd>" not in page


def test_every_posted_form_carries_the_token(templates):
    page = shown(
        templates,
        '{% extends "shell.html" %}{% block content %}{% call forms.form("/a") %}{% endcall %}'
        '{{ ui.post_button("/b", "B") }}{{ ui.menu_post("/c", "C") }}'
        '{% call forms.form("/d", method="get") %}{% endcall %}{% endblock %}',
    )
    posted = re.findall(r'<form[^>]*method="post".*?</form>', page, re.DOTALL)
    assert len(posted) == 8  # theme and sign-out twice, undo, and the three above
    assert all(f'name="csrf" value="{"c" * 64}"' in form for form in posted)
    got = re.findall(r'<form[^>]*method="get".*?</form>', page, re.DOTALL)
    assert got
    assert "csrf" not in "".join(got)


def test_hint_and_error_are_tied_to_their_field(templates):
    page = shown(templates, '{{ forms.text("name", "Name", hint="Up to 64.", error="Give it a name.") }}')
    assert '<label for="field-name">Name</label>' in page
    assert 'aria-describedby="field-name-hint field-name-error" aria-invalid="true"' in page
    assert 'id="field-name-hint">Up to 64.' in page
    assert 'id="field-name-error"' in page


def test_a_password_is_never_written_back(templates):
    with pytest.raises(TypeError):
        shown(templates, '{{ forms.password("p", "Password", "hint", none, none, false, "secret") }}')
    assert "value=" not in shown(templates, '{{ forms.password("p", "Password") }}')


@pytest.mark.parametrize(
    ("spent", "limit", "mood", "width"),
    [
        (0, 10, "accent", None),
        (1, 10_000, "accent", 3),
        (8, 10, "warn", 80),
        (10, 10, "danger", 100),
        (0, 0, "danger", 100),
        (99, 10, "danger", 100),
    ],
)
def test_a_meter_warns_from_four_fifths_and_is_full_at_the_limit(templates, spent, limit, mood, width):
    drawn = shown(templates, f"{{{{ ui.meter({spent}, {limit}) }}}}")
    assert f"meter-{mood}" in drawn
    fill = re.search(r'class="fill" width="(\d+)%"', drawn)
    assert (int(fill[1]) if fill else None) == width


def test_spend_says_limit_and_reset_in_words(templates):
    text = re.sub(r"<[^>]+>", "", shown(templates, '{{ ui.spend(4137200000, 10000000000, "monthly") }}'))
    assert text.strip() == "$4.1372 of $10 monthly"
    assert "no limit" in shown(templates, "{{ ui.spend(5, none) }}")


def test_instants_carry_utc_for_the_tooltip_and_the_script(templates):
    page = shown(templates, "{{ ui.instant(now) }}{{ ui.relative(now - 120000) }}{{ ui.relative(none) }}")
    assert page.count('datetime="2026-11-26T19:30:11.042Z" title="2026-11-26 19:30:11 UTC"') == 1
    assert ">2 min ago</time>" in page
    assert "Never" in page


def test_an_attribute_that_is_false_or_none_is_left_out(templates):
    page = shown(templates, '{{ forms.text("a", "A", required=true, disabled=false, data_x=none, hx_get="/y") }}')
    assert ' required hx-get="/y"' in page
    assert "disabled" not in page
    assert "data-x" not in page


def test_the_pager_is_absent_where_there_is_one_page(templates):
    assert shown(templates, "{{ tables.pager() }}").strip() == ""


def test_a_pager_says_what_its_order_is(templates):
    newest_first = shown(templates, '{{ tables.pager(next_url="/a", previous_url="/b") }}')
    assert "Older" in newest_first
    assert "Newer" in newest_first
    by_name = shown(
        templates,
        '{{ tables.pager(next_url="/a", previous_url="/b", next_words="Next", previous_words="First page") }}',
    )
    assert "Next" in by_name
    assert "First page" in by_name
    assert "Older" not in by_name


@pytest.mark.parametrize("macro", ["text", "password", "number", "money", "textarea"])
def test_a_required_field_is_marked_and_says_so_itself(templates, macro):
    page = shown(templates, f'{{{{ forms.{macro}("a", "A", required=true) }}}}')
    assert '<label for="field-a" class="required">A</label>' in page
    assert " required>" in page
    assert "required" not in shown(templates, f'{{{{ forms.{macro}("a", "A") }}}}')


def test_an_expiry_that_has_passed_says_that_it_has(templates):
    page = shown(templates, "{{ ui.expiry(now - 1000) }}")
    assert ">expired 26 Nov</time>" in page
    assert ">in 2 days</time>" in shown(templates, "{{ ui.expiry(now + 2 * 86400000) }}")
    assert "Never" in shown(templates, "{{ ui.expiry(none) }}")


def test_a_page_head_without_actions_leaves_no_hole(templates):
    empty = shown(templates, '{% call ui.page_head("Overview") %}{% if false %}x{% endif %}\n{% endcall %}')
    assert 'class="row"' not in empty
    full = shown(templates, '{% call ui.page_head("Overview") %}{{ ui.button("Go") }}{% endcall %}')
    assert 'class="row"' in full


def test_a_search_in_a_toolbar_shows_its_label(templates):
    assert '<label for="field-q">Search</label>' in shown(
        templates, '{{ forms.search("q", "Search", placeholder="Name") }}'
    )
    assert '<label class="visually-hidden"' in shown(templates, '{{ forms.search("q", "Search tokens") }}')


def test_a_spend_without_a_limit_draws_no_meter(templates):
    assert "<svg" not in shown(templates, "{{ ui.spend(5, none) }}")
    assert "<svg" in shown(templates, "{{ ui.spend(5, 10) }}")
