#!/bin/sh
# Keys for the scheduler, workers and command of one department: ca.pem, cert.pem and key.pem in a folder.
# Who has key.pem can run programs on every worker: copy the three files to the computers by scp, for one user each.
#     sh certificates.sh FOLDER [DAYS]
set -eu
folder=${1:?'which folder?'}
days=${2:-365}
umask 077
mkdir -p "$folder"
cd "$folder"
[ ! -e key.pem ] || { echo "There are keys in this folder already." >&2; exit 1; }
openssl req -x509 -newkey rsa:3072 -sha256 -nodes -days "$days" -subj "/CN=ctqa cluster authority" -keyout ca-key.pem -out ca.pem 2>/dev/null
openssl req -newkey rsa:3072 -nodes -subj "/CN=ctqa cluster" -keyout key.pem -out request.pem 2>/dev/null
openssl x509 -req -sha256 -in request.pem -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days "$days" -out cert.pem 2>/dev/null
# Nobody can make another key for this cluster; for new ones start again in a new folder.
rm -f ca-key.pem ca.srl request.pem
