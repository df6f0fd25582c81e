"""Settings from an environment that a test makes up: each default, each value, every mistake at once."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from feedmirror import data_lock
from feedmirror.config import Settings, duration_s
from feedmirror.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent


def mistakes_of(env: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        Settings.from_environ(env)
    return caught.value.mistakes


def test_an_empty_environment_gives_the_defaults_that_the_readme_names() -> None:
    settings = Settings.from_environ({})
    assert settings == Settings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert (settings.mongodb_uri, settings.broker_url) == (None, None)
    assert (settings.sources_path, settings.data_dir) == (ROOT / "sources.toml", ROOT / "data")


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("PORT", "80", "port", 80),
        ("PORT", " 9000 ", "port", 9000),
        ("PORT", "1", "port", 1),
        ("PORT", "65535", "port", 65535),
        ("MONGODB_URI", "mongodb://db/x", "mongodb_uri", "mongodb://db/x"),
        ("MONGODB_URI", "mongodb+srv://db.example/x", "mongodb_uri", "mongodb+srv://db.example/x"),
        ("CELERY_BROKER_URL", "amqp://rabbit//", "broker_url", "amqp://rabbit//"),
        ("FEEDMIRROR_SOURCES", "/etc/feeds.toml", "sources_path", Path("/etc/feeds.toml")),
        ("FEEDMIRROR_DATA", "/var/lib/../lib/mirror", "data_dir", Path("/var/lib/mirror")),
        ("FEEDMIRROR_LOG", "/var/log/../log/site.log", "log_path", Path("/var/log/site.log")),
        ("FEEDMIRROR_FETCH_DEADLINE", "5s", "fetch_deadline_s", 5),
        ("FEEDMIRROR_FETCH_MAX_BYTES", "20000", "fetch_max_bytes", 20_000),
        ("FEEDMIRROR_GROUP_IN_FLIGHT", "2", "group_in_flight", 2),
        ("FEEDMIRROR_GROUP_PER_MINUTE", "600", "group_per_minute", 600),
        ("FEEDMIRROR_LEASE", "2m", "lease_s", 120),
        ("FEEDMIRROR_THREADS", "3", "threads", 3),
    ],
)
def test_each_variable_sets_one_setting(variable: str, text: str, name: str, value: object) -> None:
    settings = Settings.from_environ({variable: text})
    assert getattr(settings, name) == value
    others = [field for field in Settings.__slots__ if field != name]
    assert [getattr(settings, field) for field in others] == [getattr(Settings(), field) for field in others]


def test_paths_may_be_relative_or_begin_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    settings = Settings.from_environ({"FEEDMIRROR_DATA": "here", "FEEDMIRROR_SOURCES": "~/feeds.toml"})
    assert settings.data_dir == tmp_path / "here"
    assert settings.sources_path == Path("/home/ada/feeds.toml")


@pytest.mark.parametrize("text", ["", "   "])
def test_a_variable_that_is_set_to_nothing_counts_as_not_set(text: str) -> None:
    assert Settings.from_environ({"PORT": text, "HOST": text, "MONGODB_URI": text}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "hint"),
    [
        ("PORT", "http", "a whole number from 1 to 65535"),
        ("PORT", "0", "a whole number from 1 to 65535"),
        ("PORT", "65536", "a whole number from 1 to 65535"),
        ("PORT", "-1", "a whole number"),
        ("PORT", "80.5", "a whole number"),
        ("PORT", "9" * 5000, "a whole number"),
        ("MONGODB_URI", "localhost:27017", "mongodb://"),
        ("FEEDMIRROR_LEASE", "soon", '"30s"'),
        ("FEEDMIRROR_LEASE", "0.5s", "from 1 s to 3600 s"),
        ("FEEDMIRROR_LEASE", "1d", "from 1 s to 3600 s"),
        ("FEEDMIRROR_FETCH_DEADLINE", "61", "from 1 s to 60 s"),
        ("FEEDMIRROR_FETCH_MAX_BYTES", "10", "from 10000 to"),
        ("FEEDMIRROR_THREADS", "501", "from 1 to 500"),
    ],
)
def test_a_mistake_names_the_variable_what_it_holds_and_what_it_may_hold(variable: str, text: str, hint: str) -> None:
    (mistake,) = mistakes_of({variable: text})
    assert mistake.startswith(f"{variable}={text[:20]!r}"[:-1])
    assert hint in mistake
    assert len(mistake) < 200


def test_all_mistakes_are_reported_at_once() -> None:
    mistakes = mistakes_of({"PORT": "x", "FEEDMIRROR_LEASE": "y", "MONGODB_URI": "z", "HOST": "fine"})
    assert {mistake.partition("=")[0] for mistake in mistakes} == {"PORT", "FEEDMIRROR_LEASE", "MONGODB_URI"}


def test_an_error_is_one_line_that_holds_every_mistake() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_environ({"PORT": "x\ny", "FEEDMIRROR_LEASE": "z"})
    assert "PORT" in str(caught.value)
    assert "FEEDMIRROR_LEASE" in str(caught.value)
    assert "\n" not in str(caught.value)


# -- which MongoDB, which broker


@contextmanager
def in_use(data_dir: Path) -> Iterator[None]:
    lock = data_lock.take(data_dir)
    assert lock is not None
    try:
        yield
    finally:
        os.close(lock)


def test_mongodb_uri_wins_over_a_bundled_one_that_runs(tmp_path: Path) -> None:
    settings = Settings(mongodb_uri="mongodb://mine/x", data_dir=tmp_path)
    settings.bundled_uri_path.write_text("mongodb://bundled/x\n")
    assert settings.database_uri == "mongodb://mine/x"


def test_the_bundled_mongodb_is_found_where_it_left_its_address(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    settings.bundled_uri_path.write_text("mongodb://bundled/x\n")
    with in_use(tmp_path):
        assert settings.database_uri == "mongodb://bundled/x"


def test_a_copy_of_a_data_directory_does_not_lead_to_the_original(tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    Settings(data_dir=original).bundled_uri_path.write_text("mongodb://bundled/x\n")
    with in_use(original):
        shutil.copytree(original, copy)
        with pytest.raises(ConfigError, match=r"^no MongoDB: start the bundled one"):
            _ = Settings(data_dir=copy).database_uri


def test_no_mongodb_at_all_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"make db.*MONGODB_URI"):
        _ = Settings(data_dir=tmp_path).database_uri


def test_the_broker_is_the_database_unless_one_is_named(tmp_path: Path) -> None:
    settings = Settings(mongodb_uri="mongodb://mine/x", data_dir=tmp_path)
    assert settings.celery_broker_url == "mongodb://mine/x"
    named = Settings(mongodb_uri="mongodb://mine/x", broker_url="redis://r/0")
    assert named.celery_broker_url == "redis://r/0"
    # a broker that is named must not need a database to be found
    assert Settings(broker_url="redis://r/0", data_dir=tmp_path).celery_broker_url == "redis://r/0"


# -- durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86_400),
        ("45", 45),
        ("1.5h", 5400),
        ("0.25s", 0.25),
        (" 10 s ", 10),
        ("0", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5 minutes", "-5s", "1w", "1h30m", "5M", "1e3", "inf", "nan", ".5s", "1_0s"])
def test_what_is_no_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match='"30s", "5m", "2h" or "1d"'):
        duration_s(text)
