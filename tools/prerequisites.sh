# Names each program that is missing, before anything starts.
# Usage: prerequisites.sh python | build | check   (each wants what the one before wants, and more)

missing=0

need() { # name, what it is for, the test
    if ! eval "$3" >/dev/null 2>&1; then
        echo "missing: $1 ($2)" >&2
        missing=1
    fi
}

python=$(sh "$(dirname "$0")/python.sh")
need "Python 3.11 or newer" "everything" '[ -n "$python" ]'
if [ -n "$python" ]; then
    need "Python's venv and ensurepip" "Debian has them in python3-venv" '"$python" -c "import venv, ensurepip"'
fi

if [ "$1" != python ]; then
    need "git" "the tidy tests ask it which files are ours" 'command -v git'
    need "cargo and rustc" "a Rust toolchain builds the native part" 'cargo --version && rustc --version'
    need "cc" "a C compiler links the native part" 'command -v cc'
fi

if [ "$1" = check ]; then
    java=${JAVA_HOME:+$JAVA_HOME/bin/}java
    need "java 17" "Spark runs on JDK 17" '"$java" -version 2>&1 | grep -q "version \"17[.\"]"'
    need "mvn" "fetches the jars that Spark needs for S3" 'command -v mvn'
fi

exit $missing
