"""How programs that speak S3 reach a repository: its URIs, and the options of each library."""

from dataclasses import dataclass, field
from typing import Any, Literal, overload

from anabranch.kernel.errors import InvalidInput, Kind
from anabranch.kernel.ids import parse_path

Library = Literal["polars", "fsspec", "boto3", "pyarrow"]
_REGION = "us-east-1"  # any will do; clients that know none ask for one


def s3_uri(repository: str, ref: str, path: str) -> str:
    """Return the S3 URI of a path at a ref.

    Raises InvalidInput for a ref with a slash: in a key the ref ends at the first one.
    """
    if "/" in ref:
        raise InvalidInput(
            Kind.VALUE,
            f"S3 cannot name {ref!r}: in a key the ref ends at the first slash",
            hint="take its commit: ref.head().s3_uri(...)",
        )
    if path:
        parse_path(path)
    return f"s3://{repository}/{ref}/{path}"


@dataclass(frozen=True, slots=True)
class S3Access:
    """Where the S3 gateway answers, and with which keys."""

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)

    @overload
    def options(self, library: Literal["polars"]) -> dict[str, str]: ...
    @overload
    def options(self, library: Library) -> dict[str, Any]: ...
    def options(self, library: Library) -> dict[str, Any]:
        """Return what a library wants to be told; each dict is the caller's own."""
        if library == "polars":
            return {
                "aws_endpoint_url": self.endpoint,
                "aws_access_key_id": self.access_key,
                "aws_secret_access_key": self.secret_key,
                "aws_region": _REGION,
                "aws_virtual_hosted_style_request": "false",
                "aws_allow_http": "true" if self.endpoint.startswith("http:") else "false",
            }
        if library == "fsspec":
            return {
                "key": self.access_key,
                "secret": self.secret_key,
                "client_kwargs": {"endpoint_url": self.endpoint, "region_name": _REGION},
            }
        if library == "boto3":
            return {
                "endpoint_url": self.endpoint,
                "aws_access_key_id": self.access_key,
                "aws_secret_access_key": self.secret_key,
                "region_name": _REGION,
            }
        if library == "pyarrow":
            return {
                "endpoint_override": self.endpoint,
                "access_key": self.access_key,
                "secret_key": self.secret_key,
                "region": _REGION,
            }
        raise InvalidInput(Kind.VALUE, f"no options are known for {library!r}")
