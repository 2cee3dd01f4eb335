"""Settings: where a value comes from, what is refused, and that the documentation agrees."""

from __future__ import annotations

from pathlib import Path

import pytest

from ruapi.cli.reference import settings_page
from ruapi.errors import InvalidInput, Unavailable
from ruapi.settings import default_home, fields, load_settings

REPOSITORY = Path(__file__).resolve().parents[2]


def load(home: Path, *, config: str = "", flags: dict[str, object] | None = None, **variables: str):
    (home / "config.toml").write_text(config, encoding="utf-8")
    return load_settings(flags=flags, environment={"RUAPI_HOME": str(home), **variables})


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path):
    config = 'port = 1\nretries = 1\nlog_level = "debug"\n'
    settings = load(tmp_path, config=config, flags={"port": 3, "host": None}, RUAPI_PORT="2", RUAPI_RETRIES="2")
    assert (settings.port, settings.retries, settings.log_level) == (3, 2, "debug")
    assert settings.host == "127.0.0.1"


def test_without_anything_the_home_is_in_the_xdg_data_directory():
    assert default_home({"XDG_DATA_HOME": "/data"}) == Path("/data/ruapi")
    assert default_home({"XDG_DATA_HOME": "relative"}) == Path("~/.local/share/ruapi").expanduser()
    settings = load_settings(environment={"XDG_DATA_HOME": "/data"})
    assert settings.home == Path("/data/ruapi")
    assert settings.database_path == Path("/data/ruapi/ruapi.db")


def test_a_variable_may_name_a_file_whose_content_is_stripped(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("  adm-1\n", encoding="utf-8")
    assert load(tmp_path, RUAPI_ADMIN_KEY_FILE=str(secret)).admin_key == "adm-1"
    with pytest.raises(InvalidInput, match="RUAPI_ADMIN_KEY and RUAPI_ADMIN_KEY_FILE are both set"):
        load(tmp_path, RUAPI_ADMIN_KEY_FILE=str(secret), RUAPI_ADMIN_KEY="adm-2")
    with pytest.raises(Unavailable, match="RUAPI_PORT_FILE"):
        load(tmp_path, RUAPI_PORT_FILE=str(tmp_path / "absent"))


def test_an_empty_variable_is_an_absent_one(tmp_path):
    assert load(tmp_path, RUAPI_REDIS_URL="").redis_url is None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (None, "{home}/ruapi.db"),
        ("sqlite:///var/lib/x.db", "/var/lib/x.db"),
        ("sqlite:////var/lib/x.db", "/var/lib/x.db"),
        ("sqlite:///with%20space.db", "/with space.db"),
    ],
)
def test_the_database_is_a_file_in_the_home_or_where_its_url_says(tmp_path, url, path):
    variables = {} if url is None else {"RUAPI_DATABASE_URL": url}
    assert load(tmp_path, **variables).database_path == Path(path.format(home=tmp_path))


def test_a_database_server_is_refused_clearly(tmp_path):
    settings = load(tmp_path, RUAPI_DATABASE_URL="postgresql://ruapi:secret@db/ruapi")
    with pytest.raises(Unavailable, match="embedded database only") as raised:
        _ = settings.database_path
    assert "secret" not in str(raised.value)
    with pytest.raises(InvalidInput, match="sqlite:///path"):
        _ = load(tmp_path, RUAPI_DATABASE_URL="mysql://x/y").database_path


def test_a_misspelt_variable_is_a_warning_that_names_the_right_one(tmp_path):
    warnings: list[str] = []
    environment = {"RUAPI_HOME": str(tmp_path), "RUAPI_RETRYS": "1", "RUAPI_KEY": "sk-x", "OTHER": "1"}
    load_settings(environment=environment, warn=warnings.append)
    assert warnings == ["RUAPI_RETRYS is no setting and is not read; did you mean RUAPI_RETRIES?"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("prot = 1", "no setting 'prot'; did you mean port"),
        ('home = "/x"', "RUAPI_HOME"),
        ("port = [", "not valid TOML"),
        ("port = 70000", "config.toml: port: expected int <= 65535"),
        ('port = "80"', "config.toml: port: expected int"),
        ('trusted_proxies = ["nonsense"]', "'nonsense' is no network"),
        ("trusted_proxies = 5", "list of networks"),
    ],
)
def test_what_the_file_cannot_mean_is_an_error(tmp_path, config, message):
    with pytest.raises(InvalidInput, match=message):
        load(tmp_path, config=config)


def test_a_bad_value_is_not_repeated(tmp_path):
    with pytest.raises(InvalidInput, match="RUAPI_PORT: ") as raised:
        load(tmp_path, RUAPI_PORT="sk-somebodys-secret")
    assert "somebodys" not in str(raised.value)


def test_networks_are_read_from_text_and_from_lists(tmp_path):
    from_text = load(tmp_path, RUAPI_TRUSTED_PROXIES="10.0.0.1/8, 2001:db8::/32,")
    from_list = load(tmp_path, config='trusted_proxies = ["10.0.0.0/8", "2001:db8::/32"]')
    assert from_text.trusted_proxies == from_list.trusted_proxies == ("10.0.0.0/8", "2001:db8::/32")


def test_settings_do_not_print_what_they_hold(tmp_path):
    assert "adm-1" not in repr(load(tmp_path, RUAPI_ADMIN_KEY="adm-1"))


def test_every_setting_says_what_it_means_and_its_unit():
    for field in fields():
        assert field.meaning.endswith("."), field.name
        assert field.name.endswith("_ms") == (field.unit == "ms"), field.name


def test_the_documentation_lists_every_setting():
    page = (REPOSITORY / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert page == settings_page(), "run: python -m ruapi.cli.reference"
