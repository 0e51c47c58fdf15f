"""Start-up file of the kernel: names and addresses that the notebook takes for given.

NOTEBOOK_NAMES is a JSON object "host:port" -> [host, port]; a connection to the first goes to the
second. NOTEBOOK_URLS is one of URL -> URL for the files that Spark is told to fetch. The notebook's
text stays as it is, and so does the machine's name service.
"""

import json
import os
import socket
from typing import Any

import pyspark

_NAMES = json.loads(os.environ["NOTEBOOK_NAMES"])
_URLS = json.loads(os.environ["NOTEBOOK_URLS"])
_getaddrinfo = socket.getaddrinfo
_add_file = pyspark.SparkContext.addFile


def _mapped_getaddrinfo(host: Any, port: Any, *args: Any, **options: Any) -> Any:
    host, port = _NAMES.get(f"{host}:{port}", (host, port))
    return _getaddrinfo(host, port, *args, **options)


def _mapped_add_file(self: Any, path: str, recursive: bool = False) -> None:
    _add_file(self, _URLS.get(path, path), recursive)


socket.getaddrinfo = _mapped_getaddrinfo
pyspark.SparkContext.addFile = _mapped_add_file
