"""Configuration of Spark for s3a against a server of ours, as a folder for SPARK_CONF_DIR."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from tests.support.certificates import STORE_PASSWORD, write_trust_store


@dataclass(frozen=True, slots=True)
class S3aEndpoint:
    """Where s3a goes and with which key."""

    url: str
    access_key: str
    secret_key: str


def write_configuration(
    folder: Path,
    endpoint: S3aEndpoint,
    jars: Sequence[Path],
    *,
    scratch: Path,
    s3a: Mapping[str, str] | None = None,
    trusted: Path | None = None,
) -> dict[str, str]:
    """Write `core-site.xml` and `spark-defaults.conf`; return the variables that point to them.

    `s3a` adds Hadoop properties by their full names; `trusted` are the authorities, as PEM, that
    servers with TLS are believed by. Everything Spark writes of its own lies under
    `scratch`, which is made. The driver listens on loopback only and in UTC.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    hadoop = {
        "fs.s3a.endpoint": endpoint.url,
        "fs.s3a.path.style.access": "true",
        "fs.s3a.connection.ssl.enabled": "false",
        "fs.s3a.access.key": endpoint.access_key,
        "fs.s3a.secret.key": endpoint.secret_key,
        # Upload buffers would otherwise lie in a folder that all users of the machine share.
        "fs.s3a.buffer.dir": str(scratch / "s3a"),
        **(s3a or {}),
    }
    properties = "".join(
        f"<property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in hadoop.items()
    )
    (folder / "core-site.xml").write_text(
        f'<?xml version="1.0"?>\n<configuration>\n{properties}</configuration>\n'
    )
    options = f"-Duser.timezone=UTC -Djava.io.tmpdir={scratch}"
    if trusted is not None:
        write_trust_store(trusted, scratch / "trusted.jks")
        options += f" -Djavax.net.ssl.trustStore={scratch / 'trusted.jks'}"
        options += f" -Djavax.net.ssl.trustStorePassword={STORE_PASSWORD}"
    spark = {
        "spark.jars": ",".join(map(str, jars)),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.driver.extraJavaOptions": options,
        "spark.local.dir": str(scratch),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    (folder / "spark-defaults.conf").write_text(
        "".join(f"{name} {value}\n" for name, value in spark.items())
    )
    return {"SPARK_CONF_DIR": str(folder), "SPARK_LOCAL_IP": "127.0.0.1", "TZ": "UTC"}
