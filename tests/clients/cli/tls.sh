# redis-cli and redis-benchmark over TLS, and curl over HTTPS.
# eave-doors: tls
set -eu
secure="-h localhost -p $EAVE_TLS_PORT --tls --cacert $EAVE_TLS_CA"
own="--cert $EAVE_TLS_CERT --key $EAVE_TLS_KEY"

# is WANTED GOT
is() {
  if [ "$1" != "$2" ]; then
    printf 'wanted: %s\ngot:    %s\n' "$1" "$2" >&2
    exit 1
  fi
}

is OK "$(redis-cli $secure $own SET k v)"
is v "$(redis-cli -3 $secure $own GET k)"
is v "$(redis-cli -p "$EAVE_RESP_PORT" GET k)"
if redis-cli $secure GET k 2>/dev/null | grep -q v; then
  echo "a client without a certificate was answered" >&2
  exit 1
fi
redis-benchmark $secure $own -t set,get -n 2000 -c 10 -P 4 -q --csv >/dev/null
is '{"result":"v"}' "$(curl -s --cacert "$EAVE_TLS_CA" -H "Authorization: Bearer $EAVE_REST_TOKEN" "$EAVE_REST_TLS_URL/get/k")"
