# What the scripts of this folder share. To be sourced by bash, with `set -euo pipefail` on.

# Where downloads of a peer (NAME-VERSION) are kept between runs.
cache() {
  printf '%s/throughline-peers/%s\n' "${XDG_CACHE_HOME:-$HOME/.cache}" "$1"
}

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Fails with the name of the Debian package when a program is missing.
need() {
  command -v "$1" >/dev/null || die "$1 is missing (sudo apt-get install $2)"
}

# Makes a virtual environment of Python once, with what pip is told to install:  virtual_environment FOLDER ARGS
virtual_environment() {
  local environment=$1
  shift
  if [ ! -f "$environment/complete" ]; then
    mkdir -p "$(dirname "$environment")"
    exec 9>"$environment.lock"
    ! command -v flock >/dev/null || flock 9
    if [ ! -f "$environment/complete" ]; then
      echo "installing $* from PyPI" >&2
      rm -rf "$environment"
      python3 -m venv "$environment" >&2 || die "no virtual environment (sudo apt-get install python3-venv)"
      "$environment/bin/pip" install --quiet --disable-pip-version-check "$@" >&2
      touch "$environment/complete"
    fi
    exec 9>&-
  fi
}

# Ports below the range that systems give to clients: a server that is stopped and started again finds its own free.
free_port() {
  local port try
  for ((try = 0; try < 200; try++)); do
    port=$((10000 + (RANDOM * 32768 + RANDOM) % 22000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s\n' "$port"
      return
    fi
  done
  die "no free port found"
}

# Whether a Kafka broker answers an ApiVersions request (key 18, version 0) on this port of the loopback.
kafka_answers() {
  local answer
  answer=$( (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit
    printf '\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff' >&3
    # The length, then the request's own number comes back.
    timeout 5 head -c 8 <&3 | od -An -tx1 -j4 | tr -d ' \n'
  ) 2>/dev/null) || true
  [ "$answer" = 00000007 ]
}
