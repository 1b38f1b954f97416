# A password: what is refused before it was given, every way to give it, and both doors.
# eave-options: --requirepass secret-password
set -eu
cli() { redis-cli -h 127.0.0.1 -p "$EAVE_RESP_PORT" "$@" 2>&1; }

# is WANTED GOT
is() {
  if [ "$1" != "$2" ]; then
    printf 'wanted: %s\ngot:    %s\n' "$1" "$2" >&2
    exit 1
  fi
}

required='NOAUTH Authentication required.'
wrong='WRONGPASS invalid username-password pair or user is disabled.'
is "$required" "$(cli GET k)"
is "$required" "$(cli PING)"
is "$wrong" "$(cli AUTH wrong)"
is "$wrong" "$(cli AUTH nobody secret-password)"
is "$wrong" "$(cli HELLO 3 AUTH default wrong)"
is OK "$(cli AUTH secret-password)"

# One connection, so that each line finds what the one before has done.
is "OK
PONG
OK
v
RESET
$required" "$(printf 'AUTH default secret-password\nPING\nSET k v\nGET k\nRESET\nGET k\n' | cli | grep -v '^$')"

export REDISCLI_AUTH=secret-password
is PONG "$(cli PING)"
is PONG "$(cli -3 PING)"
is v "$(cli GET k)"

# The REST token opens the other door to the same keyspace.
is '{"result":"v"}' "$(curl -s -H "Authorization: Bearer $EAVE_REST_TOKEN" "$EAVE_REST_URL/get/k")"
