# Functions for scripts that fetch from this host's apt mirror. To be sourced; the caller defines die().
# shellcheck shell=sh

# Prints all package lists of apt, one per line: URI, suite, codename, component. Covers both formats of sources.
lists() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)' \
        'Created-By: Packages' 2>/dev/null | sort -u
}

# Sets $distribution and $host_release of this host.
read_release() {
    ID='' VERSION_CODENAME=''
    # shellcheck source=/dev/null
    . /etc/os-release
    distribution=$ID
    host_release=$VERSION_CODENAME
}

# Sets $mirror and $security (may be empty), where this host gets its packages, and $keyring for their signatures.
choose_mirror() {
    mirror=$(lists | awk -v r="$host_release" '$2 == r || $3 == r { if ($4 == "main") { print $1; exit } }')
    [ -n "$mirror" ] || die "apt's sources name no mirror with $host_release main"
    security=$(lists | awk -v r="$host_release-security" '$2 == r || $3 == r { if ($4 == "main") { print $1; exit } }')
    keyring=/usr/share/keyrings/$distribution-archive-keyring.gpg
    [ -r "$keyring" ] || die "no keyring $keyring: apt-get install $distribution-archive-keyring"
}
