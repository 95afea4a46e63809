# shellcheck shell=bash
# What test/run, test/long, test/demo and test/bench/run share: install what
# is missing, build, keep private servers, and leave nothing behind.
#
# Source it, then:
#
#   house_begin <name>       a place of our own under /tmp ($WORK, $LOG), traps set
#   house_need unit|lint|server|tap|fuzz ...   install what is missing for these parts
#   house_build              copy the checkout, build it, install it into a private copy of the server
#   house_server <name> [line of postgresql.conf ...]   start a server in $WORK/<name>
#   as_user command ...      run a command as the user that owns $WORK
#
# Nothing of the system changes except installed packages: the server's files
# are copied to $WORK/pg (PostgreSQL finds its directories relative to its
# binaries) and the extension is installed there.  Servers listen only on a
# socket in $WORK.  Whatever runs from $WORK is ended when the script ends.

set -u -o pipefail
umask 022
export LC_ALL=C
# A caller's connection settings must not lead us to the caller's server.
for name in $(compgen -e | grep '^PG[A-Z]'); do
	[ "$name" = PG_MAJOR ] || unset "$name"
done

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
MAJORS='15 16 17 18'        # majors that the extension is written for
WORK='' LOG='' BIN='' MAJOR='' RUNUSER=''
KEEP=0                      # 1: leave $WORK and its servers alone at the end
BAD=0                       # 1: keep the logs at the end
APT_UPDATED=0

say() {
	printf '%s\n' "$*"
}

die() {
	say "error: $*" >&2
	BAD=1
	exit 1
}

# ---------------------------------------------------------------------------
# Begin and end
# ---------------------------------------------------------------------------

house_begin() {
	WORK=$(mktemp -d "/tmp/pgaml-$1.XXXXXX") || die "cannot create a directory in /tmp"
	LOG=$WORK/log
	trap house_end EXIT
	trap 'BAD=1; exit 129' HUP
	trap 'BAD=1; exit 130' INT
	trap 'BAD=1; exit 143' TERM
	mkdir -p "$LOG" "$WORK/tmp" || die "cannot write to $WORK"
}

# End everything that runs from $WORK or stands in it: nobody else's.
house_kill() {
	local signal=$1 pid
	for pid in /proc/[0-9]*; do
		pid=${pid#/proc/}
		[ "$pid" = $$ ] && continue
		case "$(readlink "/proc/$pid/exe" 2>/dev/null)" in
			"$WORK"/*) ;;
			*)
				case "$(readlink "/proc/$pid/cwd" 2>/dev/null)" in
					"$WORK" | "$WORK"/*) ;;
					*) continue ;;
				esac
				;;
		esac
		kill "-$signal" "$pid" 2>/dev/null
	done
}

# Stop what runs and remove $WORK; after a failure the logs stay, and are named.
house_close() {
	local i
	[ -n "$WORK" ] && [ "$KEEP" = 0 ] || return 0
	cd /
	house_kill QUIT
	# A postmaster ends its children before itself.
	for i in 1 2 3 4 5 6 7 8 9 10; do
		[ -n "$(house_left)" ] || break
		sleep 0.3
	done
	house_kill KILL
	awk -v work="$WORK/" 'index($2, work) == 1 { print $2 }' /proc/mounts | while read -r i; do
		umount "$i" || die "cannot unmount $i: remove $WORK by hand after that"
	done
	if [ "$BAD" = 0 ]; then
		rm -rf "$WORK"
	else
		find "$WORK" -mindepth 1 -maxdepth 1 ! -name log -exec rm -rf {} +
		say "logs are in $LOG"
	fi
	WORK=''
}

house_end() {
	local status=$?
	trap '' HUP INT TERM
	trap - EXIT
	[ "$status" = 0 ] || BAD=1
	house_close
	exit "$status"
}

# Pids that run from $WORK.
house_left() {
	local pid
	for pid in /proc/[0-9]*; do
		case "$(readlink "$pid/exe" 2>/dev/null)" in
			"$WORK"/*) say "${pid#/proc/}" ;;
		esac
	done
}

# ---------------------------------------------------------------------------
# Packages
# ---------------------------------------------------------------------------

# Run a command as root, or return 1 when that cannot be had.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	elif command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
		sudo -n "$@"
	elif command -v sudo > /dev/null && [ -t 0 ]; then
		sudo "$@"
	else
		return 1
	fi
}

package_there() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

# Does the distribution offer the package?  Reads the lists first when there are none.
package_offered() {
	[ -n "$(apt-cache policy "$1" 2> /dev/null | sed -n 's/^  Candidate: \(.*\)/\1/p' | grep -v '^(none)$')" ]
}

apt_update() {
	[ "$APT_UPDATED" = 1 ] && return 0
	APT_UPDATED=1
	say "reading the package lists"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=580 update > "$LOG/apt-update" 2>&1 < /dev/null
}

# Install the named packages, of which none is installed.
apt_install() {
	local missing=$*
	command -v apt-get > /dev/null ||
		die "this needs Debian or Ubuntu; missing here: $missing"
	as_root true ||
		die "missing packages: $missing
  you are neither root nor allowed to use sudo; ask for: apt-get install $missing"
	local p
	for p in $missing; do
		package_offered "$p" || { apt_update; break; }
	done
	# A machine without PostgreSQL stays one without a cluster of its own.
	case " $missing " in
		*" postgresql-"[0-9]*)
			if ! package_there postgresql-common && [ ! -e /etc/postgresql-common/createcluster.conf ]; then
				as_root mkdir -p /etc/postgresql-common &&
					echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf > /dev/null
			fi
			;;
	esac
	say "installing $missing"
	apt_try $missing || { apt_update && apt_try $missing; } || {
		tail -n 20 "$LOG/apt-install" >&2
		die "could not install: $missing"
	}
}

# --no-upgrade, and only names that are missing: a server that runs is not replaced under its clusters.
apt_try() {
	as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -q -y \
		-o DPkg::Lock::Timeout=580 -o DPkg::Options::=--force-confold \
		install --no-install-recommends --no-upgrade "$@" > "$LOG/apt-install" 2>&1 < /dev/null
}

# The major to test with: PG_MAJOR, else the newest server found, else 15 or the newest offered.
choose_major() {
	local v
	if [ -n "${PG_MAJOR:-}" ]; then
		MAJOR=$PG_MAJOR
		return
	fi
	for v in $MAJORS; do
		[ -x "/usr/lib/postgresql/$v/bin/postgres" ] && MAJOR=$v
	done
	[ -n "$MAJOR" ] && return
	package_offered postgresql-15 || package_offered postgresql-17 || apt_update
	for v in 15 18 17 16; do
		if package_offered "postgresql-server-dev-$v"; then
			MAJOR=$v
			return
		fi
	done
	die "no PostgreSQL of a major out of $MAJORS is installed or offered by the distribution"
}

# house_need part ...: unit, lint, server, tap, fuzz, or the name of a package
house_need() {
	local part p want='' missing=''
	for part in "$@"; do
		case $part in
			unit) want="$want gcc libc6-dev make libcmocka-dev" ;;
			lint) want="$want gcc libc6-dev make binutils" ;;
			server)
				[ -n "$MAJOR" ] || choose_major
				want="$want gcc libc6-dev make perl postgresql-$MAJOR postgresql-server-dev-$MAJOR"
				;;
			tap) want="$want perl libipc-run-perl" ;;
			fuzz) want="$want gcc libc6-dev make clang libclang-rt-dev" ;;
			*) want="$want $part" ;;
		esac
	done
	for p in $want; do
		case " $missing " in *" $p "*) continue ;; esac
		package_there "$p" || missing="$missing $p"
	done
	[ -z "$missing" ] || apt_install $missing
}

# house_want package ...: install those that can be had; tests that need the others say that they skip.
house_want() {
	local p missing=''
	for p in "$@"; do
		package_there "$p" || missing="$missing $p"
	done
	[ -z "$missing" ] && return 0
	if ! command -v apt-get > /dev/null || ! as_root true; then
		say "not there, some tests are skipped:$missing"
		return 0
	fi
	for p in $missing; do
		package_offered "$p" || apt_update
		say "installing $p"
		{ package_offered "$p" && apt_try "$p"; } || say "could not be installed, some tests are skipped: $p"
	done
}

# ---------------------------------------------------------------------------
# Build and servers
# ---------------------------------------------------------------------------

# Whoever may run a server: root hands over to postgres, others stay themselves.
choose_user() {
	RUNUSER=$(id -un)
	[ "$(id -u)" = 0 ] || return 0
	RUNUSER=nobody
	id postgres > /dev/null 2>&1 && RUNUSER=postgres
}

as_user() {
	local -a clean=(env HOME="$WORK" TMPDIR="$WORK/tmp" PATH="$PATH")
	if [ "$(id -u)" = 0 ]; then
		runuser -u "$RUNUSER" -- "${clean[@]}" "$@"
	else
		"${clean[@]}" "$@"
	fi
}

# Copy the checkout, without what was built in it, to $WORK/src.
house_copy() {
	choose_user
	mkdir -p "$WORK/src"
	tar -C "$ROOT" -cf - --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
		--exclude=./build --exclude=./results --exclude=./tmp_check --exclude='./pganalytics_ml--*.sql' . |
		tar -C "$WORK/src" -xf - --no-same-owner || die "cannot copy $ROOT to $WORK/src"
	[ "$(id -u)" != 0 ] || chown -R "$RUNUSER:" "$WORK"
	cd "$WORK/src" || die "cannot enter $WORK/src"
}

# A copy of the server's files that is ours to install into.
house_private_server() {
	local lib=/usr/lib/postgresql/$MAJOR share=/usr/share/postgresql/$MAJOR
	[ -x "$lib/bin/postgres" ] || die "there is no $lib/bin/postgres"
	mkdir -p "$WORK/pg/usr/lib/postgresql" "$WORK/pg/usr/share/postgresql"
	cp -rL "$lib" "$WORK/pg/usr/lib/postgresql/" && cp -rL "$share" "$WORK/pg/usr/share/postgresql/" ||
		die "cannot copy the server's files to $WORK/pg"
	ln -s /usr/include "$WORK/pg/usr/include"
	BIN=$WORK/pg/usr/lib/postgresql/$MAJOR/bin
	PGXS_DIR=$WORK/pg/usr/lib/postgresql/$MAJOR/lib/pgxs
	PATH=$BIN:$PATH
	[ "$(id -u)" != 0 ] || chown -R "$RUNUSER:" "$WORK/pg"
}

# house_build [compiler flag ...]: build anew, warnings being errors, and install into the private copy.
house_build() {
	[ -d "$WORK/src" ] || house_copy
	[ -n "$BIN" ] || house_private_server
	say "building with PostgreSQL $("$BIN/postgres" --version | sed 's/^[^0-9]*//')${*:+, $*}"
	as_user make -s PG_CONFIG="$BIN/pg_config" clean > "$LOG/build" 2>&1
	as_user make -s -j2 PG_CONFIG="$BIN/pg_config" PGAML_CFLAGS="-Werror $*" install >> "$LOG/build" 2>&1 || {
		tail -n 40 "$LOG/build" >&2
		die "the build failed"
	}
}

# house_server name [conf line ...]: socket directory, port and user come out as PGHOST, PGPORT, PGUSER.
house_server() {
	local name=$1 line
	shift
	as_user "$BIN/initdb" -D "$WORK/$name" -A trust -U postgres -E UTF8 --locale=C --no-sync \
		> "$LOG/$name.initdb" 2>&1 || { tail -n 20 "$LOG/$name.initdb" >&2; die "initdb failed"; }
	as_user mkdir -p "$WORK/s"
	{
		say "listen_addresses = ''"
		say "unix_socket_directories = '$WORK/s'"
		say "fsync = off"
		say "log_line_prefix = '%m [%p] %b %q%d '"
		for line in "$@"; do
			say "$line"
		done
	} > "$WORK/tmp/$name.conf"
	as_user sh -c "cat '$WORK/tmp/$name.conf' >> '$WORK/$name/postgresql.conf'"
	house_server_start "$name"
}

# Every server has a port, that is a socket name, of its own.
house_server_start() {
	local name=$1
	if [ ! -e "$WORK/$name.port" ]; then
		PORTS=$((${PORTS:-54320} + 1))
		say "$PORTS" > "$WORK/$name.port"
	fi
	export PGHOST=$WORK/s PGUSER=postgres PGPORT
	PGPORT=$(cat "$WORK/$name.port")
	as_user "$BIN/pg_ctl" -D "$WORK/$name" -l "$LOG/$name.server" -w -t 60 -o "-p $PGPORT" start \
		> "$LOG/$name.start" 2>&1 || { tail -n 20 "$LOG/$name.server" >&2; die "server $name did not start"; }
}

house_server_stop() {
	as_user "$BIN/pg_ctl" -D "$WORK/$1" -w -t 60 -m "${2:-fast}" stop >> "$LOG/$1.start" 2>&1
}
