#!/usr/bin/env bash
# Cuts a node of the running docker-compose.yml off from the others at the network, or brings it back.
#
#     docker/mesh.sh cut n3     takes the containers of n3 off the network `mesh`; they still reach each other
#     docker/mesh.sh join n3    puts them back, under the names the other nodes know
#
# $COMPOSE_PROJECT_NAME names the project, as for docker-compose; default: this repository's folder. Repeating a
# command changes nothing.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(basename "$root" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9_-')
project=${COMPOSE_PROJECT_NAME:-$folder}
mesh=${project}_mesh

main() {
    local verb=${1:-} node=${2:-} service container
    [[ $# == 2 && $verb =~ ^(cut|join)$ ]] || fail "cut NODE or join NODE"
    for service in {redis,replica,jobs,cron}-"$node"; do
        container=$(container_of "$service")
        [[ -n $container ]] || fail "project $project has no container of $service"
        "$verb" "$container" "$service"
    done
}

cut() { # container service
    ! on_mesh "$1" || docker network disconnect "$mesh" "$1"
}

join() { # container service
    on_mesh "$1" || docker network connect --alias "$2" "$mesh" "$1"
}

on_mesh() { # container
    [[ -n $(docker inspect --format "{{with index .NetworkSettings.Networks \"$mesh\"}}on{{end}}" "$1") ]]
}

container_of() { # service
    docker ps --all --quiet --filter "label=com.docker.compose.project=$project" \
        --filter "label=com.docker.compose.service=$1"
}

fail() {
    echo "docker/mesh.sh: $1" >&2
    exit 2
}

main "$@"
