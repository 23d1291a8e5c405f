"""One writer at a time on SQLite, whichever thread ends what another began."""

import threading

from sqlalchemy import text

from app.db import Database


def test_a_transaction_that_ends_in_another_thread_lets_the_next_writer_in(sqlite: Database) -> None:
    """FastAPI enters and leaves a dependency in whatever threads of its pool are free."""
    door = sqlite.write()
    door.__enter__().execute(text("SELECT 1"))
    failed: list[BaseException] = []

    def end() -> None:
        try:
            door.__exit__(None, None, None)
        except BaseException as error:
            failed.append(error)

    other = threading.Thread(target=end)
    other.start()
    other.join()
    assert failed == []
    done = threading.Event()

    def write() -> None:
        with sqlite.write() as connection:
            connection.execute(text("SELECT 1"))
        done.set()

    threading.Thread(target=write, daemon=True).start()
    assert done.wait(10)
