#!/bin/sh
# fetch.sh VERSION FOLDER: NiiVue's program from npm, packed, and the licences of all that is in it
set -eu
version=$1 folder=$(realpath "$2") work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$folder/LICENSE.niivue" "$folder/LICENSES.compiled" "$work"
cd "$work"
npm install --no-audit --no-fund --ignore-scripts --omit=optional "@niivue/niivue@$version"
gzip -9 -n -c node_modules/@niivue/niivue/dist/niivue.umd.js > "$folder/niivue-$version.umd.js.gz"
{
  echo "niivue $version"
  cat LICENSE.niivue
  for file in node_modules/*/[Ll][Ii][Cc][Ee][Nn][Ss][Ee]* node_modules/@*/*/[Ll][Ii][Cc][Ee][Nn][Ss][Ee]*; do
    printf '\n%s\n\n' "$(dirname "$file" | sed s,node_modules/,,)"
    cat "$file"
  done
  printf '\n'
  cat LICENSES.compiled
} > "$folder/LICENSES.txt"
