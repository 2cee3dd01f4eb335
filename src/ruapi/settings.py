"""Settings: read once, frozen, and handed down as values.

A value comes from, in this order: a command's flag; ``RUAPI_<NAME>`` in the environment, or the content of
the file that ``RUAPI_<NAME>_FILE`` names; ``<name>`` in ``config.toml`` in RUAPI_HOME; the default. Each
field below carries its own documentation, from which docs/reference/settings.md is generated.

A misspelt name in ``config.toml`` is an error, because the file is ours. A misspelt variable is a warning,
because the environment belongs to everybody.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

from ruapi.errors import InvalidInput, Unavailable

CONFIG_FILE = "config.toml"
DATABASE_FILE = "ruapi.db"
ENVIRONMENT_PREFIX = "RUAPI_"
FILE_SUFFIX = "_FILE"
SETTING_BYTES_MAX = 64 * 1024  # of a *_FILE or of config.toml: more is the wrong file

KIB = 1024
MIB = 1024 * KIB

# Variables that callers of the gateway use; they are no settings, and nobody is warned of them.
CALLERS_VARIABLES = frozenset({"RUAPI_KEY", "RUAPI_API_KEY", "RUAPI_BASE_URL"})

Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000, extra={"unit": "ms"})]
Bytes = Annotated[int, Meta(ge=KIB, le=2**31, extra={"unit": "bytes"})]


def _doc(text: str) -> Meta:
    return Meta(description=text)


def default_home(environment: Mapping[str, str] = os.environ) -> Path:
    """``ruapi`` in the XDG data directory; a relative XDG_DATA_HOME does not count, as its standard says."""
    data = environment.get("XDG_DATA_HOME", "")
    if not data or not Path(data).is_absolute():
        return Path("~/.local/share/ruapi").expanduser()
    return Path(data) / "ruapi"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. Units stand last in the names."""

    home: Annotated[Path, _doc("Where `ruapi.db`, `secrets/` and `config.toml` live.")]
    database_url: Annotated[
        str | None, _doc("`sqlite:///path/to/file`, an absolute path. Without it: `ruapi.db` in the home.")
    ] = None
    redis_url: Annotated[
        str | None,
        _doc("Valkey or Redis for rate counters that several servers share. Not used by this release."),
    ] = None
    url: Annotated[
        str | None,
        _doc("A remote server for commands to work on. Not available in this release: commands refuse."),
    ] = None
    admin_key: Annotated[str | None, _doc("The administrator's key of that remote server.")] = None

    host: Annotated[str, Meta(min_length=1), _doc("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535), _doc("Port to listen on; 0: any free one.")] = 8080
    workers: Annotated[int, Meta(ge=1, le=64), _doc("Server processes.")] = 1
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _doc("The least severe log line that is written.")
    ] = "info"
    trusted_proxies: Annotated[
        tuple[str, ...],
        _doc("Networks (CIDR, comma-separated) whose `X-Forwarded-For` is believed. Without any: nobody's."),
    ] = ()

    retries: Annotated[
        int,
        Meta(ge=0, le=10),
        _doc("Further attempts at an upstream before the first byte is answered; 0: one attempt."),
    ] = 2
    connections_per_host_max: Annotated[
        int, Meta(ge=1, le=100_000), _doc("Open connections to one upstream host, per server process.")
    ] = 512
    calls_in_flight_max: Annotated[
        int, Meta(ge=1, le=1_000_000), _doc("Calls at once per server process; beyond, 503 at once.")
    ] = 4096

    body_bytes_max: Annotated[Bytes, _doc("Largest request body.")] = 32 * MIB
    header_bytes_max: Annotated[Bytes, _doc("Largest request header section.")] = 32 * KIB
    answer_bytes_max: Annotated[Bytes, _doc("Largest answer taken from an upstream.")] = 64 * MIB
    json_depth_max: Annotated[int, Meta(ge=8, le=1000), _doc("Deepest nesting of a JSON body.")] = 200
    header_timeout_ms: Annotated[Milliseconds, _doc("Time for a caller to send the headers.")] = 10_000
    body_idle_timeout_ms: Annotated[Milliseconds, _doc("Longest silence while a caller sends the body.")] = 30_000
    connect_timeout_ms: Annotated[Milliseconds, _doc("Time to connect to an upstream, TLS included.")] = 10_000
    first_byte_timeout_ms: Annotated[
        Milliseconds, _doc("Time for an upstream to send the first byte of its answer.")
    ] = 120_000
    idle_timeout_ms: Annotated[Milliseconds, _doc("Longest silence of an upstream within an answer.")] = 120_000

    useful_output_tokens_min: Annotated[
        int,
        Meta(ge=1, le=1_000_000, extra={"unit": "tokens"}),
        _doc("When money is short, the output is lowered, but never under this; then the call is refused."),
    ] = 256
    output_share_percent: Annotated[
        int,
        Meta(ge=1, le=100, extra={"unit": "%"}),
        _doc("Of what is available, the most that a call without an output limit may set aside for output."),
    ] = 25
    input_tokens_held_min: Annotated[
        int,
        Meta(ge=0, le=1_000_000, extra={"unit": "tokens"}),
        _doc("No hold is for less input than this: providers put prompts of their own before the caller's."),
    ] = 1_024
    output_tokens_unknown: Annotated[
        int,
        Meta(ge=1, le=10_000_000, extra={"unit": "tokens"}),
        _doc("Taken as a model's largest output when nobody knows it."),
    ] = 16_384
    stream_ping_ms: Annotated[
        Milliseconds, _doc("A stream that has begun is kept open by a ping after each such silence.")
    ] = 15_000
    stream_slice_tokens: Annotated[
        int,
        Meta(ge=64, le=1_000_000, extra={"unit": "tokens"}),
        _doc("Output that is set aside at a time while an answer streams."),
    ] = 2048

    def __repr__(self) -> str:
        """Show where it lives, and none of the values that may hold a secret."""
        return f"Settings(home={str(self.home)!r}, …)"

    @property
    def database_path(self) -> Path:
        """The file of the embedded database. Raises ``Unavailable`` for a database of another kind."""
        if self.database_url is None:
            return self.home / DATABASE_FILE
        parts = urlsplit(self.database_url)
        if parts.scheme in {"postgresql", "postgres"}:
            raise Unavailable(
                "this release has the embedded database only: unset RUAPI_DATABASE_URL, or write sqlite:///path"
            )
        if parts.scheme != "sqlite" or parts.netloc or parts.query or len(parts.path) < 2:
            raise InvalidInput("RUAPI_DATABASE_URL must look like sqlite:///path/to/ruapi.db")
        return Path("/" + unquote(parts.path).lstrip("/"))

    @property
    def secrets_path(self) -> Path:
        """The folder of the pepper and the master key."""
        return self.home / "secrets"


class Field(NamedTuple):
    """What one setting is called, means and may be."""

    name: str
    meaning: str
    unit: str
    default: str

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return ENVIRONMENT_PREFIX + self.name.upper()


_HINTS: dict[str, Any] = get_type_hints(Settings, include_extras=True)


def fields() -> Iterator[Field]:
    """Every setting, in the order of the documentation."""
    for field in msgspec.structs.fields(Settings):
        metas = [part for part in _HINTS[field.name].__metadata__ if isinstance(part, Meta)]
        meaning = next(meta.description for meta in metas if meta.description)
        unit = next((str(meta.extra["unit"]) for meta in metas if meta.extra), "")
        default = "" if field.default in (None, (), msgspec.NODEFAULT) else str(field.default)
        yield Field(field.name, meaning, unit, "XDG data directory" if field.name == "home" else default)


def load_settings(
    *,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] = os.environ,
    warn: Callable[[str], None] = lambda _: None,
) -> Settings:
    """Read the settings. ``flags`` maps names of fields to what a command's flags said (None: not said).

    Raises ``InvalidInput`` for a name or a value that cannot be meant, ``Unavailable`` for a file that
    cannot be read. ``warn`` is told of variables that nothing reads.
    """
    given = _from_environment(environment, warn)
    flagged = {name: value for name, value in (flags or {}).items() if value is not None}
    home_text = flagged.get("home") or (given["home"][1] if "home" in given else None)
    home = Path(home_text).expanduser().absolute() if home_text else default_home(environment)

    values: dict[str, Any] = {}
    for name, value in _from_file(home / CONFIG_FILE).items():
        values[name] = _convert(name, value, source=f"{CONFIG_FILE}: {name}", strict=True)
    for name, (source, text) in given.items():
        values[name] = _convert(name, text, source=source, strict=False)
    for name, value in flagged.items():
        values[name] = _convert(name, value, source=f"--{name.replace('_', '-')}", strict=False)
    return Settings(**{**values, "home": home})


def _from_environment(environment: Mapping[str, str], warn: Callable[[str], None]) -> dict[str, tuple[str, str]]:
    """Field -> (the variable that set it, its text). An empty variable counts as absent."""
    found: dict[str, tuple[str, str]] = {}
    for variable in sorted(environment):
        text = environment[variable]
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in CALLERS_VARIABLES or not text:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        from_file = name not in _HINTS and name.endswith(FILE_SUFFIX.lower())
        name = name.removesuffix(FILE_SUFFIX.lower()) if from_file else name
        if name not in _HINTS:
            warn(f"{variable} is no setting and is not read{_nearest(variable)}")
            continue
        if name in found:
            raise InvalidInput(f"{found[name][0]} and {variable} are both set: keep one of them")
        found[name] = (variable, _file_content(variable, text) if from_file else text)
    return found


def _nearest(variable: str) -> str:
    known = [ENVIRONMENT_PREFIX + name.upper() for name in _HINTS]
    near = difflib.get_close_matches(variable, known, n=1, cutoff=0.75)
    return f"; did you mean {near[0]}?" if near else ""


def _file_content(variable: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(SETTING_BYTES_MAX + 1)
    except OSError as fault:
        raise Unavailable(f"{variable}: {path} cannot be read: {fault.strerror}") from fault
    if len(content) > SETTING_BYTES_MAX:
        raise InvalidInput(f"{variable}: {path} is too large to hold one value")
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise InvalidInput(f"{variable}: {path} is not UTF-8 text") from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as fault:
        raise Unavailable(f"{path} cannot be read: {fault.strerror}") from fault
    try:
        values = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise InvalidInput(f"{path} is not valid TOML: {fault}") from None
    for name in values:
        if name == "home":
            raise InvalidInput(f"{path}: home cannot be set in the file that lies in it; set RUAPI_HOME")
        if name not in _HINTS:
            near = difflib.get_close_matches(name, _HINTS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise InvalidInput(f"{path}: there is no setting {name!r}{hint}")
    return values


def _convert(name: str, value: object, *, source: str, strict: bool) -> object:
    """One value as its field's type. The text of the fault names the source and never the value."""
    if name not in _HINTS:
        raise InvalidInput(f"{source}: there is no such setting")
    if name == "home":
        return Path(str(value))
    if name == "trusted_proxies":
        return _networks(value, source)
    try:
        return msgspec.convert(value, type=_HINTS[name], strict=strict)
    except msgspec.ValidationError as fault:
        reason = str(fault).split(" - at ", maxsplit=1)[0].replace("`", "")
        raise InvalidInput(f"{source}: {reason[:1].lower()}{reason[1:]}") from None


def _networks(value: object, source: str) -> tuple[str, ...]:
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list | tuple):
        raise InvalidInput(f"{source}: write a list of networks such as 10.0.0.0/8")
    found = []
    for entry in entries:
        text = str(entry).strip()
        if not text:
            continue
        try:
            found.append(str(ipaddress.ip_network(text, strict=False)))
        except ValueError:
            raise InvalidInput(f"{source}: {text!r} is no network: write 10.0.0.0/8 or 2001:db8::/32") from None
    return tuple(found)
