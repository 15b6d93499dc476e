#!/bin/sh
# Creates a self-signed certificate and its key, unless they exist: certificate.sh CERTIFICATE KEY
set -eu
[ -s "$1" ] && exit 0
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -subj /CN=mail.demo.example -addext subjectAltName=DNS:mail.demo.example -keyout "$2" -out "$1" 2>/dev/null
