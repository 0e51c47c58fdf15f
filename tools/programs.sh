#!/bin/sh
# Installs the Debian programs that suites of clients use when they are there; without them those
# tests are skipped. Only as root on a Debian; it never fails and is over in six minutes at most.

[ "$(id -u)" = 0 ] && [ -e /etc/debian_version ] && command -v apt-get >/dev/null || exit 0

missing=""
for program in aws:awscli rclone:rclone s3cmd:s3cmd mariadb:mariadb-client; do
    [ -x "/usr/bin/${program%%:*}" ] || missing="$missing ${program#*:}"
done
[ -n "$missing" ] || exit 0

log=$(mktemp) || exit 0
export DEBIAN_FRONTEND=noninteractive
quickly="-qq -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o DPkg::Lock::Timeout=10"
# Fetched first: an installation that is cut short would have to be mended by hand.
# The names and the options are lists of words.
# shellcheck disable=SC2086
{
    timeout 60 apt-get $quickly update &&
        timeout 120 apt-get $quickly install --yes --no-install-recommends --download-only $missing &&
        timeout 180 apt-get $quickly install --yes --no-install-recommends --no-download $missing
} >"$log" 2>&1 </dev/null || {
    echo "not installed:$missing; tests with these programs are skipped" >&2
    tail -n 5 "$log" >&2
}
rm -f "$log"
exit 0
