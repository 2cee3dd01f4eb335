"""A store that is closed while threads that nobody waits for any more still use it."""

from __future__ import annotations

import threading

import pytest

from ruapi.errors import Unavailable
from tests.unit.storage.conftest import NOW


def test_closing_waits_for_the_verb_that_another_thread_is_in(store):
    entered, may_leave = threading.Event(), threading.Event()
    counted = []

    def look():
        with store.reading() as connection:
            entered.set()
            may_leave.wait()
            counted.append(connection.execute("SELECT COUNT(*) FROM users").get)

    reader = threading.Thread(target=look)
    closer = threading.Thread(target=store.close)
    reader.start()
    entered.wait()
    closer.start()
    may_leave.set()
    reader.join()
    closer.join()
    assert counted == [2]


def test_a_verb_that_comes_after_the_end_is_told_so(store):
    store.close()
    with pytest.raises(Unavailable, match="the store is closed"):
        store.find_user("ada@example.com")
    with pytest.raises(Unavailable, match="the store is closed"):
        store.stop_keys(user_id="usr_ada", status="disabled", now=NOW)
