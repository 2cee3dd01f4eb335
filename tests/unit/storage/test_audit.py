"""The audit log: every save tells it, in its own transaction, and no secret gets in."""

from __future__ import annotations

import base64
import json
import os
import pwd
from typing import Any

import apsw
import msgspec
import pytest

from ruapi.errors import Conflict, LimitReached
from ruapi.storage.audit import changes_between, operating_system_user
from ruapi.storage.records import (
    TOTP,
    Actor,
    AuditEvent,
    Channel,
    Code,
    Key,
    KeySecret,
    ManagementKey,
    Model,
    OneTimeLink,
    Passkey,
    PriceVersion,
    RecoveryCode,
    Session,
    User,
)

NOW = 1_795_000_000_000
ADA = Actor(kind="user", id="usr_ada", name="ada@example.com", address="10.0.0.9")
SECRET = b"\xfe\xedsecret"
HASH = "$argon2id$the-hash"


def key(number: int = 1, **fields: Any) -> Key:
    row = Key(
        id=f"key_{number}", user_id="usr_ada", account_id="acc_ada", name=f"key {number}", status="active",
        last4="abcd", created_at=NOW,
    )  # fmt: skip
    return msgspec.structs.replace(row, **fields)


def secret(number: int = 1, of: str = "key_1", **fields: Any) -> KeySecret:
    row = KeySecret(digest=SECRET + b"%d" % number, key_id=of, last4="abcd", pepper_version=1, created_at=NOW + number)
    return msgspec.structs.replace(row, **fields)


def channel(**fields: Any) -> Channel:
    row = Channel(
        id="chn_1", name="openai", kind="openai", base_url="https://api.example.com", secret_sealed=SECRET,
        created_at=NOW,
    )  # fmt: skip
    return msgspec.structs.replace(row, **fields)


def model(name: str, source: str = "operator") -> Model:
    return Model(
        id=name, provider="p", display_name=name.upper(), source=source, source_date="2026-11-01", created_at=NOW
    )


def price(number: int, name: str, source: str = "operator") -> PriceVersion:
    return PriceVersion(
        id=f"prc_{number}", model=name, rates=b'{"input":%d,"output":2}' % number, source=source,
        source_date="2026-11-01", effective_from=NOW + number, created_at=NOW + number,
    )  # fmt: skip


def code(number: int, batch: str = "bat_1") -> Code:
    return Code(
        id=f"cod_{number}", digest=SECRET + b"%d" % number, last4=f"{number:04}", value_nano=7, status="active",
        batch=batch, created_at=NOW,
    )  # fmt: skip


def events(store: Any, **wanted: Any) -> list[AuditEvent]:
    """What was told after the two people were added, the oldest first."""
    with store.reading() as look:
        rows = list(look.execute("SELECT * FROM audit_event ORDER BY rowid"))
    found = [AuditEvent(**dict(zip(AuditEvent.__struct_fields__, row, strict=True))) for row in rows[2:]]
    return [event for event in found if all(getattr(event, name) == value for name, value in wanted.items())]


def told(store: Any) -> tuple[str, dict[str, list[Any]]]:
    event = events(store)[-1]
    return event.action, json.loads(event.changes)


# --- who and what -----------------------------------------------------------------------------------


def test_a_save_is_told_as_the_actors_and_an_unbound_one_as_the_commands(store):
    store.acting(ADA).add_key(key(), secret())
    store.add_key(key(2), secret(2, "key_2"))
    first, second = events(store)
    assert (first.actor_kind, first.actor_id, first.actor_name, first.address) == (
        "user", "usr_ada", "ada@example.com", "10.0.0.9",
    )  # fmt: skip
    assert (first.action, first.target_kind, first.target_id, first.target_name, first.user_id) == (
        "key.create", "key", "key_1", "key 1", "usr_ada",
    )  # fmt: skip
    assert (second.actor_kind, second.actor_name) == ("command", operating_system_user())


def test_the_operating_system_names_the_user_and_a_nameless_number_will_do(monkeypatch):
    assert operating_system_user() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_123)
    assert operating_system_user() == "uid 2000000123"


def test_acting_changes_no_other_copy_and_still_wakes_the_server(store):
    woken = []
    acting = store.acting(ADA)
    store.on_change = lambda: woken.append(1)  # set after the copy was made
    acting.save_settings({"name": '"a"'}, now=NOW)
    store.save_settings({"name": '"b"'}, now=NOW)
    assert [event.actor_kind for event in events(store)] == ["user", "command"]
    assert woken == [1, 1]


@pytest.mark.parametrize(
    ("change", "action", "changes"),
    [
        ({"status": "disabled"}, "key.disable", {"status": ["active", "disabled"]}),
        (
            {"status": "deleted", "deleted_at": NOW},
            "key.delete",
            {"status": ["active", "deleted"], "deleted_at": [None, NOW]},
        ),
        ({"limit_nano": 0}, "key.edit", {"limit_nano": [None, 0]}),
        (
            {"models": ("a", "b*"), "browser_use": True},
            "key.edit",
            {"models": [[], ["a", "b*"]], "browser_use": [False, True]},
        ),
        ({"name": "x" * 300}, "key.edit", {"name": ["key 1", "x" * 199 + "…"]}),
    ],
)  # fmt: skip
def test_a_changed_key_is_told_by_what_changed(store, change, action, changes):
    store.add_key(key(), secret())
    store.save_key(msgspec.structs.replace(key(), **change), was=key())
    assert told(store) == (action, changes)


def test_enabling_is_told_and_a_save_that_changes_nothing_is_not(store):
    off = key(status="disabled")
    store.add_key(off, secret())
    store.save_key(key(), was=off)
    assert told(store) == ("key.enable", {"status": ["disabled", "active"]})
    store.save_key(key(), was=key())
    assert len(events(store)) == 2


def test_rotation_and_the_end_of_old_secrets_are_told(store):
    store.add_key(key(), secret())
    store.rotate_key(key(last4="wxyz"), secret(2), was=key(), old_secrets_end_at=NOW + 50)
    assert told(store) == ("key.rotate", {"last4": ["abcd", "wxyz"], "old_secrets_end_at": [None, NOW + 50]})
    store.end_old_secrets("key_1", at=NOW + 9)
    assert told(store) == ("key.end-old-secrets", {"old_secrets_end_at": [None, NOW + 9], "count": [None, 1]})
    assert [row.expires_at for row in store.key_secrets("key_1")] == [None, NOW + 9]
    count = len(events(store))
    store.end_old_secrets("key_1", at=NOW + 9)
    assert len(events(store)) == count


@pytest.mark.parametrize(
    ("change", "action"),
    [
        ({"status": "frozen", "frozen_by": "owner", "password_hash": None}, "user.freeze"),
        ({"password_hash": "another"}, "user.password"),
        ({"email": "new@example.com"}, "user.edit"),
        ({"last_seen_at": NOW}, None),
    ],
)
def test_a_changed_person_is_told_by_what_weighs_most(store, change, action):
    user = User(
        id="usr_eve", email="eve@example.com", role="member", status="active", account_id="acc_eve",
        password_hash=HASH, created_at=NOW,
    )  # fmt: skip
    store.save_user(user)
    assert told(store)[0] == "user.create"
    count = len(events(store))
    store.save_user(msgspec.structs.replace(user, **change))
    assert [event.action for event in events(store)[count:]] == ([] if action is None else [action])
    if action == "user.freeze":
        store.save_user(user)
        assert told(store)[0] == "user.unfreeze"
        assert told(store)[1]["password_hash"] == [None, "…"]


def test_money_is_told_in_whole_nano_dollars(store):
    store.credit(
        transfer_id="trf_1", account_id="acc_ada", amount_nano=10, kind="topup", ref="r1", note="invoice 7", now=NOW
    )
    assert told(store) == (
        "account.topup",
        {"amount_nano": [None, 10], "posted_nano": [0, 10], "reference": [None, "r1"], "note": [None, "invoice 7"]},
    )
    store.credit(
        transfer_id="trf_2", account_id="acc_ada", amount_nano=-4, kind="adjustment", ref="r2", note="", now=NOW
    )
    assert told(store)[0] == "account.adjust"
    assert told(store)[1]["posted_nano"] == [10, 6]
    event = events(store)[-1]
    assert (event.target_id, event.target_name, event.user_id) == ("acc_ada", "ada@example.com", "usr_ada")


def test_codes_are_told_by_the_batch_and_by_who_redeems(store):
    store.add_codes([code(1), code(2), code(3, "bat_2"), code(4)])
    assert [(event.target_id, json.loads(event.changes)["count"]) for event in events(store)] == [
        ("bat_1", [None, 3]), ("bat_2", [None, 1]),
    ]  # fmt: skip
    assert store.disable_codes(["cod_1", "cod_2", "cod_9"]) == 2
    assert told(store)[1] == {
        "status": ["active", "disabled"], "count": [None, 2], "codes": [None, ["cod_1", "cod_2"]],
    }  # fmt: skip
    count = len(events(store))
    assert store.disable_codes(["cod_1"]) == 0
    assert store.redeem_code(b"unknown", user=store.find_user("usr_ada"), transfer_id="trf_0", now=NOW) is None
    assert len(events(store)) == count
    store.redeem_code(SECRET + b"4", user=store.find_user("usr_ada"), transfer_id="trf_1", now=NOW)
    assert told(store) == ("code.redeem", {"status": ["active", "redeemed"], "value_nano": [None, 7]})


def test_channels_are_told_and_their_secret_only_as_changed(store):
    store.save_channel(channel())
    store.save_channel(channel(status="paused"))
    store.save_channel(channel())
    store.save_channel(channel(secret_sealed=b"\xfe\xedsecret 2", weight=3))
    assert told(store) == ("channel.edit", {"secret_sealed": ["…", "…"], "weight": [1, 3]})
    store.remove_channel("chn_1")
    store.remove_channel("chn_1")
    assert [event.action for event in events(store)] == [
        "channel.create", "channel.pause", "channel.resume", "channel.edit", "channel.remove",
    ]  # fmt: skip


def test_a_price_is_told_with_its_rates_and_a_catalogue_by_numbers(store):
    store.save_models([model("a")], [price(1, "a")])
    assert told(store)[0] == "model.price"
    store.save_models([model("a")], [price(2, "a")])
    assert told(store) == (
        "model.price",
        {"rates": [{"input": 1, "output": 2}, {"input": 2, "output": 2}], "effective_from": [None, NOW + 2]},
    )
    many = [model("a", "cat"), *(model(f"m{number}", "cat") for number in range(2_000))]
    store.save_models(many, [price(10 + number, f"m{number}", "cat") for number in range(2_000)])
    assert told(store) == (
        "model.sync", {"models_added": [None, 2_000], "models_changed": [None, 1], "prices_added": [None, 2_000]},
    )  # fmt: skip
    assert len(events(store)) == 3


def test_settings_are_told_by_name(store):
    store.save_settings({"name": '"ruapi"', "base_url": "null"}, now=NOW)
    store.save_settings({"name": '"ruapi"', "base_url": '"https://x"'}, now=NOW)
    assert told(store) == ("setting.save", {"base_url": ["null", '"https://x"']})
    store.save_settings({"name": '"ruapi"'}, now=NOW)
    assert len(events(store)) == 2
    assert store.settings() == {"base_url": '"https://x"', "name": '"ruapi"'}


def test_acts_of_signing_in_are_told(store):
    fields: dict[str, Any] = {"user_id": "usr_ada", "created_at": NOW}
    for number in (1, 2):
        store.add_session(
            Session(
                id=f"ses_{number}", digest=SECRET + b"%d" % number, method="password", address="10.0.0.1",
                user_agent="browser", last_seen_at=NOW, confirmed_at=NOW, expires_at=NOW + 9, **fields,
            ),
            password_hash=None,
        )  # fmt: skip
    store.confirm_session("ses_1", now=NOW)
    store.end_sessions("usr_ada", only="ses_1", now=NOW)
    store.add_passkey(
        Passkey(id="psk_1", credential_id=SECRET, public_key=SECRET, sign_count=0, name="laptop", **fields)
    )
    store.remove_passkeys("usr_ada", ["psk_1"])
    store.save_totp(TOTP(secret_sealed=SECRET, **fields))
    store.save_totp(TOTP(secret_sealed=SECRET, confirmed_at=NOW, **fields))
    store.replace_recovery_codes("usr_ada", [RecoveryCode(digest=SECRET, **fields)])
    store.use_recovery_code("usr_ada", SECRET, now=NOW)
    store.remove_totp("usr_ada")
    store.remove_totp("usr_ada")
    store.add_link(OneTimeLink(id="lnk_1", digest=SECRET, purpose="password", expires_at=NOW + 9, **fields))
    store.use_link(SECRET, now=NOW)
    store.add_management_key(
        ManagementKey(id="mk_1", name="terraform", digest=SECRET, last4="abcd", scope="read", **fields)
    )
    store.end_management_keys("usr_ada", now=NOW)
    found = events(store)
    assert [event.action for event in found] == [
        "session.start", "session.start", "session.confirm", "session.end", "passkey.add", "passkey.remove",
        "totp.start", "totp.confirm", "recovery-codes.replace", "recovery-codes.use", "totp.remove", "link.create",
        "link.use", "management-key.create", "management-key.end",
    ]  # fmt: skip
    assert {event.user_id for event in found} == {"usr_ada"}


def test_many_sessions_that_end_together_are_one_event(store):
    for number in range(5):
        store.add_session(
            Session(
                id=f"ses_{number}", digest=b"%d" % number, user_id="usr_ada", method="password", address="",
                user_agent="", created_at=NOW, last_seen_at=NOW, confirmed_at=NOW, expires_at=NOW + 9,
            ),
            password_hash=None,
        )  # fmt: skip
    store.end_sessions("usr_ada", but="ses_0", now=NOW)
    assert told(store) == ("session.end", {"count": [4, 0]})


# --- no secrets, nothing changed, nothing lost --------------------------------------------------------


def test_no_secret_is_in_any_row(store):
    test_acts_of_signing_in_are_told(store)
    store.add_key(key(), secret(7))
    store.save_channel(channel())
    store.add_codes([code(8)])
    store.save_user(msgspec.structs.replace(store.find_user("usr_bob"), password_hash=HASH))
    with store.reading() as look:
        rows = list(look.execute("SELECT * FROM audit_event"))
    everything = "\n".join(str(value) for row in rows for value in row)
    assert not any(isinstance(value, bytes) for row in rows for value in row)
    for hidden in (HASH, "argon2", SECRET.hex(), base64.b64encode(SECRET)[:-4].decode(), "feedsecret", "\\xed"):
        assert hidden not in everything
    assert '"password_hash":[null,"…"]' in everything


def test_what_a_stranger_typed_is_cut(store):
    store.record(event(1, action="sign-in.refused", target_name="x" * 10_000, actor_name="y" * 200))
    found = events(store)[-1]
    assert (found.target_name, found.actor_name) == ("x" * 199 + "…", "y" * 200)


@pytest.mark.parametrize("statement", ["UPDATE audit_event SET action = 'x'", "DELETE FROM audit_event"])
def test_the_database_refuses_to_change_events(store, statement):
    with pytest.raises(apsw.ConstraintError, match="audit events are never"), store.transaction() as transaction:
        transaction.execute(statement)


def test_a_save_that_fails_leaves_no_event(store):
    store.add_key(key(), secret())
    store.save_user(msgspec.structs.replace(store.find_user("usr_ada"), role="admin"))
    before = events(store)
    with pytest.raises(Conflict):
        store.add_key(key(2), secret())  # the secret's digest is taken
    with pytest.raises(Conflict):
        store.save_key(key(status="disabled"), was=key(name="not what is stored"))
    with pytest.raises(LimitReached):
        store.credit(
            transfer_id="trf_1", account_id="acc_ada", amount_nano=-1, kind="adjustment", ref="r", note="", now=NOW
        )
    with pytest.raises(Conflict):
        store.save_user(msgspec.structs.replace(store.find_user("usr_ada"), email="bob@example.com"))
    assert events(store) == before


def test_an_event_that_cannot_be_written_undoes_the_save(store):
    with pytest.raises(apsw.ConstraintError):
        store.acting(Actor(kind="nobody")).add_key(key(), secret())
    assert store.find_key_row("key_1") is None


def test_rows_that_come_and_go_are_told_without_what_says_nothing():
    row = key(limit_nano=0, models=("a",), allowed_ips=tuple(f"10.0.0.{number}" for number in range(150)))
    created = changes_between(None, row)
    assert set(created) == {"name", "status", "last4", "limit_nano", "limit_reset", "models", "allowed_ips"}
    assert len(created["allowed_ips"][1]) == 100
    gone = changes_between(row, None)
    assert gone["models"] == [["a"], None]
    assert changes_between(None, None) == {}


# --- reading it ---------------------------------------------------------------------------------------


def event(number: int, **fields: Any) -> AuditEvent:
    row = AuditEvent(
        id=f"aud_{NOW + number:012x}", time=NOW + number, actor_kind="user", actor_id="usr_ada", actor_name="ada",
        address="", action=("key.edit", "key.create", "user.freeze")[number % 3], target_kind="key",
        target_id=f"key_{number % 4}", target_name="", user_id=("usr_ada", "usr_bob")[number % 2],
    )  # fmt: skip
    return msgspec.structs.replace(row, **fields)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"user_id": "usr_ada"},
        {"target_id": "key_3"},
        {"action": "key."},
        {"action": "key.edit"},
        {"action": "user.freeze", "user_id": "usr_bob"},
        {"action": "key.", "target_id": "key_2", "user_id": "usr_ada"},
        {"action": "key._"},
        {"action": "%"},
    ],
)
def test_pages_of_events_have_no_gaps_and_nothing_twice(store, wanted):
    written = [event(number + 10**9) for number in range(100)]
    for row in written:
        store.record(row)

    def fits(row: AuditEvent) -> bool:
        return (
            row.action.startswith(wanted.get("action", ""))
            and wanted.get("user_id", row.user_id) == row.user_id
            and wanted.get("target_id", row.target_id) == row.target_id
        )

    expected = [row for row in reversed(written) if fits(row)]
    seen: list[AuditEvent] = []
    before = f"aud_{NOW + 10**9 + 100:012x}"
    while page := store.page_audit(**wanted, before=before, limit=7):
        seen += page
        before = page[-1].id
    older = [row for row in seen if row.actor_id == "usr_ada"]
    assert older == expected
