#!/bin/sh
# build.sh ROOT: run by mmdebstrap on the finished tree. Compiles ring.c against Debian's MPICH, by tcc: mpicc's
# package would bring three compilers. Where a wheel of Intel MPI lies in $INTEL_MPI, adds what runs
# programs: it takes MPICH's, by the common ABI, under the name that Debian gives the library.
set -e
root=$1
here=$(dirname "$0")
cd "$root/tmp"
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -q download libmpich-dev
mkdir headers
dpkg-deb --fsys-tarfile libmpich-dev_*.deb | tar x -C headers --wildcards '*.h'
cp "$here/ring.c" .
include=$(dirname "$(find headers -name mpi.h | head -n 1)")
chroot "$root" sh -ec \
  'cd /tmp; tcc -I"$1" -o /usr/local/bin/ring ring.c /usr/lib/*/libmpich.so.12' sh "$include"
mkdir intel
python3 -m zipfile -e "$INTEL_MPI"/impi_rt-*.whl intel
target=$root/opt/intel
mkdir -p "$target/bin" "$target/lib" "$target/opt/mpi"
cp intel/*.data/data/bin/mpirun intel/*.data/data/bin/mpiexec.hydra intel/*.data/data/bin/hydra_*_proxy \
  "$target/bin/"
chmod 755 "$target"/bin/*
cp intel/*.data/data/lib/libmpi.so.12 "$target/lib/"
ln -s libmpi.so.12 "$target/lib/libmpich.so.12"
rm -rf headers intel ring.c libmpich-dev_*.deb
