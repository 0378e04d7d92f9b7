#!/bin/sh
# Installs what Tally is built with, from Debian's packages.
#
# On Debian 13 everything is in the release.  On Debian 12 yyjson and llhttp are not; Debian 13's packages of those two
# need no newer libc, so they are fetched into build/deps with apt pointed at lists of its own.  The mirror's address is
# taken from the machine's configuration, and the machine's own sources are left alone.
#
# usage: deps.sh PREFIX [test|fuzz|bench|peers]...
set -eu
prefix=${1:?usage: deps.sh PREFIX [test|fuzz|bench|peers]...}
shift

packages="gcc make pkg-config libc6-dev libuv1-dev libxxhash-dev libzstd-dev libcurl4-openssl-dev libicu-dev ca-certificates curl"
for extra in "$@"; do
	case $extra in
	test) packages="$packages libcmocka-dev clang python3 python3-venv python3-msgpack perl libdata-messagepack-perl" ;;
	fuzz) packages="$packages clang llvm" ;;
	bench) packages="$packages nginx-light wrk python3" ;;
	esac
done

need_apt() {
	command -v apt-get >/dev/null 2>&1 || {
		echo "tally: apt-get was not found; install these yourself and run make again:$missing" >&2
		exit 1
	}
	[ "$(id -u)" = 0 ] || {
		echo "tally: these Debian packages are missing:$missing  (run: sudo apt-get install$missing)" >&2
		exit 1
	}
}

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }

missing_install() {
	[ -n "$missing" ] || return 0
	need_apt
	echo "installing:$missing"
	apt-get update -qq >/dev/null || true
	# shellcheck disable=SC2086
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

missing=
for package in $packages; do
	installed "$package" || missing="$missing $package"
done
missing_install

# What clang's sanitizers and fuzzer are linked with has clang's version in its name: it is known when clang is there.
case " $* " in
*" test "* | *" fuzz "*)
	runtime=libclang-rt-$(clang -dumpversion | cut -d. -f1)-dev
	missing=
	installed "$runtime" || missing=" $runtime"
	missing_install
	;;
esac

# msgpack-c's C library: one package on Debian 12, another on 13.
if ! installed libmsgpack-c-dev && ! installed libmsgpack-dev; then
	in_release() { apt-cache show "$1" >/dev/null 2>&1; }
	if [ "$(id -u)" = 0 ] && ! in_release libmsgpack-c-dev && ! in_release libmsgpack-dev; then apt-get update -qq >/dev/null || true; fi
	missing=" libmsgpack-dev"
	if in_release libmsgpack-c-dev; then missing=" libmsgpack-c-dev"; fi
	missing_install
fi

# The engines that `make bench` measures beside Tally: those that this release has.  What cannot be installed is left out.
peers_install() {
	command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || return 0
	wanted=
	command -v tarantool >/dev/null 2>&1 || wanted="$wanted tarantool"
	[ -e /usr/include/tarantool/module.h ] || wanted="$wanted tarantool-dev"
	# redis-tools holds the server's program as well, without its service.
	{ command -v redis-cli && { command -v redis-server || command -v redis-check-rdb; }; } >/dev/null 2>&1 ||
		wanted="$wanted redis-tools"
	[ -n "$(ls /usr/lib/postgresql/*/bin/postgres 2>/dev/null)" ] || wanted="$wanted postgresql"
	[ -z "$wanted" ] || apt-get update -qq >/dev/null 2>&1 || true
	for package in $wanted; do
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 || continue
		echo "installed for the benchmark: $package"
		# Two of them start a service of their own when they are installed; nobody asked for it.
		case $package in
		tarantool | postgresql)
			if service "$package" stop >/dev/null 2>&1; then echo "stopped the service that came with it: $package"; fi
			;;
		esac
	done
}
case " $* " in *" peers "*) peers_install ;; esac

# What judges the OpenAPI document, from PyPI into a folder of its own.  Where pip cannot bring it, its tests are skipped.
python_install() {
	list=$(dirname "$0")/python.txt
	cmp -s "$list" "$prefix/python/installed.txt" && return 0
	echo "installing into $prefix/python: schemathesis, openapi-spec-validator"
	if /usr/bin/python3 -m venv --clear "$prefix/python" >/dev/null 2>&1 &&
		"$prefix/python/bin/python" -m pip install --quiet --disable-pip-version-check --retries 1 --timeout 15 \
			--only-binary :all: -r "$list" >/dev/null 2>&1; then
		cp "$list" "$prefix/python/installed.txt"
	else
		rm -rf "$prefix/python"
		echo "pip could not install $list: the tests that need it are skipped"
	fi
}
case " $* " in *" test "*) python_install ;; esac

have() { printf '#include <%s>\n' "$1" | ${CC:-cc} -I"$prefix/include" -E -x c - >/dev/null 2>&1; }
if have yyjson.h && have llhttp.h; then exit 0; fi

# The release has them: use it.
if apt-cache show libyyjson-dev >/dev/null 2>&1 && apt-cache show libllhttp-dev >/dev/null 2>&1; then
	missing=" libyyjson-dev libllhttp-dev"
	need_apt
	apt-get install -y -qq --no-install-recommends $missing >/dev/null
	exit 0
fi

# Debian 12: Debian 13's packages, beside the system.
site=$(apt-get indextargets --format '$(SITE) $(TARGET_OF) $(COMPONENT) $(CREATED_BY) $(CODENAME)' 2>/dev/null |
	awk '$2=="deb" && $3=="main" && $4=="Packages" && $5=="bookworm" {print $1; exit}')
[ -n "$site" ] || { echo "tally: no Debian mirror is configured; install libyyjson-dev and libllhttp-dev and run make again" >&2; exit 1; }
lists=$prefix/apt
mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial" "$lists/debs" "$prefix"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keyring] $site trixie main" >"$lists/sources.list"
set -- -o Dir::Etc::sourcelist="$lists/sources.list" -o Dir::Etc::sourceparts=/dev/null \
	-o Dir::State::lists="$lists/lists" -o Dir::Cache="$lists/cache" -o APT::Sandbox::User=root
apt-get "$@" update -qq >/dev/null
(cd "$lists/debs" && apt-get "$@" download -qq libyyjson0 libyyjson-dev libllhttp9.2 libllhttp-dev >/dev/null)
for deb in "$lists"/debs/*.deb; do dpkg-deb -x "$deb" "$prefix/root"; done
mkdir -p "$prefix/include" "$prefix/lib"
cp -a "$prefix"/root/usr/include/* "$prefix/include/"
cp -a "$prefix"/root/usr/lib/*/lib* "$prefix/lib/"
