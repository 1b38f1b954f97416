# redis-benchmark runs its own tests to the end, and no reply is an error.
set -eu

# benchmark ARGUMENT...
benchmark() {
  output=$(redis-benchmark -h 127.0.0.1 -p "$EAVE_RESP_PORT" -q "$@" 2>&1) || {
    printf '%s\n' "$output" >&2
    exit 1
  }
  if printf '%s' "$output" | grep -i -E 'error|warning|could not' >&2; then
    exit 1
  fi
}

benchmark -n 1000 -t ping,set,get,incr,mset,hset
benchmark -n 1000 -t ping,set,get,incr,mset,hset -P 16
benchmark -n 1000 -3 -r 100 -t set,get
benchmark -n 1000 -r 100 APPEND key:__rand_int__ x
