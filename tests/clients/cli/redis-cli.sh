# redis-cli, as one types it: replies, RESP3, inline requests, pipes and a scan.
set -eu
cli() { redis-cli -h 127.0.0.1 -p "$EAVE_RESP_PORT" "$@"; }

# is WANTED GOT
is() {
  if [ "$1" != "$2" ]; then
    printf 'wanted: %s\ngot:    %s\n' "$1" "$2" >&2
    exit 1
  fi
}

is PONG "$(cli PING)"
is "hello world" "$(cli ECHO 'hello world')"
is OK "$(cli SET greeting hello EX 100)"
is hello "$(cli GET greeting)"
is 100 "$(cli TTL greeting)"
is "" "$(cli GET nothing)"
is '(nil)' "$(cli --no-raw GET nothing)"
is '(integer) 1' "$(cli --no-raw INCR counter)"
is "ERR value is not an integer or out of range" "$(cli INCR greeting)"
is "ERR unknown command 'NOSUCH', with args beginning with: 'x' " "$(cli NOSUCH x)"

# A map is a map in RESP3 and a list in RESP2.
is 2 "$(cli HSET h a 1 b 2)"
is '1) "a"
2) "1"
3) "b"
4) "2"' "$(cli --no-raw HGETALL h)"
is '1# "a" => "1"
2# "b" => "2"' "$(cli -3 --no-raw HGETALL h)"

# Several requests through one connection.
is 'OK
QUEUED
QUEUED
2
3' "$(printf 'MULTI\nINCR counter\nINCR counter\nEXEC\n' | cli)"

# Inline requests, as telnet sends them; the reply ends the connection.
exec 3<>"/dev/tcp/127.0.0.1/$EAVE_RESP_PORT"
printf 'SET inline "two words"\r\nGET inline\r\nQUIT\r\n' >&3
is '+OK
$9
two words
+OK' "$(tr -d '\r' <&3)"
exec 3>&-

# A thousand keys by mass insertion, found again by a scan.
seq 1 1000 | while read -r n; do
  printf '*3\r\n$3\r\nSET\r\n$8\r\nmass:%03d\r\n$1\r\nx\r\n' "$((n - 1))"
done | cli --pipe >/dev/null
is 1000 "$(cli --scan --pattern 'mass:*' | sort -u | wc -l | tr -d ' ')"

# Another database is another keyspace.
is OK "$(cli -n 1 SET only-here 1)"
is 0 "$(cli EXISTS only-here)"
is 1 "$(cli -n 1 DBSIZE)"
