#!/bin/sh
# Starts action3d with the Node beside this file: action3d VERB ..., or action3d bench/NAME ... for a measurement.
here=$(dirname "$(readlink -f "$0")")
entry=$here/app/runner/cli.js
case ${1-} in
bench/*)
  entry=$here/app/$1.js
  if [ ! -f "$entry" ]; then
    echo "error: there is no $1; there are $(cd "$here/app" && echo bench/*.js | sed 's/\.js//g')" >&2
    exit 2
  fi
  shift
  ;;
esac
# Container platforms mount NVIDIA's driver here, where the dynamic linker does not look by itself.
if [ -d /usr/local/nvidia/lib64 ]; then
  LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/nvidia/lib64
  export LD_LIBRARY_PATH
fi
exec "$here/bin/node" "$entry" "$@"
