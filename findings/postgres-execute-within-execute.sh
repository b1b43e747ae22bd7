#!/bin/sh
# PostgreSQL's USDT probes query__execute__start and _done fire twice for one INSERT, the second pair within the first.
#
# One would guess from the manual ("when the execution of a query is started", "… is complete") that a statement has
# one start and one end, and pair each end with the last start, or end what is open at a start. So it is for SELECT in
# PostgreSQL 15.18 (Debian 12). A statement that changes rows has start, start, done, done: both are of the same
# statement, one in the portal, one in the query that it runs. Who counts starts counts such statements twice, and who
# takes the last start has the time of the inner one. CREATE TABLE has one pair.
#
# Output (S a start, D an end):
#
#	select 1: SD
#	create table t (n int): SD
#	insert into t values (1): SSDD
#	insert into t values (2) returning n: SSDD
#	update t set n = 3: SSDD
#
# Exits 0 as long as that is so. It needs root, for bpftrace; PostgreSQL is that of Debian 12, unpacked.

. "$(dirname "$0")/lib.sh"
self=$(realpath "$0")

command -v bpftrace >/dev/null || { apt-get -qq update && apt-get -qq install -y bpftrace; } >&2
if ! ldconfig -p | grep -q libpq.so.5 || ! ldconfig -p | grep -q libLLVM-14; then
	apt-get -qq update && apt-get -qq install -y postgresql-15
fi >&2
(
	cd "$tmp"
	fetch() {
		apt-get -qq -o APT::Sandbox::User=root download postgresql-15=15.18-0+deb12u1 \
			postgresql-client-15=15.18-0+deb12u1
	}
	fetch || { apt-get -qq update && fetch; }
	for package in *.deb; do
		dpkg -x "$package" pg
	done
	mkdir data
	chmod 755 "$tmp"
	chown nobody data
) >&2
bin=$tmp/pg/usr/lib/postgresql/15/bin
port=$((20000 + $$ % 20000))
nobody="setpriv --reuid=nobody --regid=nogroup --clear-groups"
# The unpacked server looks for what lies beside it.
cd /
$nobody "$bin/initdb" -D "$tmp/data" -A trust -U test -N >"$tmp/initdb" 2>&1 || { cat "$tmp/initdb" >&2; exit 2; }
$nobody "$bin/postgres" -D "$tmp/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= >"$tmp/log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait; rm -rf "$tmp"' EXIT
ask() {
	"$bin/psql" -h 127.0.0.1 -p "$port" -U test -qAtX -c "$1" postgres
}
for _ in $(seq 100); do
	ask "select" >/dev/null 2>&1 && break
	sleep 0.1
done
bpftrace -q -B none -e "
	BEGIN { printf(\"ready\\n\"); }
	usdt:$bin/postgres:postgresql:query__execute__start { printf(\"S\"); }
	usdt:$bin/postgres:postgresql:query__execute__done { printf(\"D\"); }" >"$tmp/said" 2>"$tmp/errors" &
tracer=$!
trap 'kill "$tracer" "$server" 2>/dev/null; wait; rm -rf "$tmp"' EXIT
for _ in $(seq 100); do
	grep -q ready "$tmp/said" && break
	sleep 0.1
done
until ask "select" >/dev/null && sleep 0.5 && [ "$(wc -c <"$tmp/said")" -gt 6 ]; do
	kill -0 "$tracer" || { cat "$tmp/errors" >&2; exit 2; }
done

while read -r statement; do
	from=$(wc -c <"$tmp/said")
	ask "$statement" >/dev/null
	sleep 0.5
	echo "$statement: $(tail -c +$((from + 1)) "$tmp/said")"
done >"$tmp/got" <<'EOF'
select 1
create table t (n int)
insert into t values (1)
insert into t values (2) returning n
update t set n = 3
EOF
cat "$tmp/got"
sed -n '/^# Output/,/^# Exits/ s/^#	//p' "$self" | cmp -s - "$tmp/got"
