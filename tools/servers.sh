#!/usr/bin/env bash
# Brings up what the tests need: uses PostgreSQL, RabbitMQ and Redis where they answer, else installs and starts
# Debian's packages (as root) or docker compose. Fails loudly when it cannot.
set -u

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
missing() { for port in 5432 5672 6379; do answers "$port" || return 0; done; return 1; }

missing || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  wanted=()
  answers 5432 || command -v pg_ctlcluster >/dev/null || wanted+=(postgresql)
  answers 5672 || command -v rabbitmq-server >/dev/null || wanted+=(rabbitmq-server)
  answers 6379 || command -v redis-server >/dev/null || wanted+=(redis-server)
  [ ${#wanted[@]} = 0 ] || { apt-get update -qq && apt-get install -y -qq "${wanted[@]}"; } || exit 1
  if ! answers 5432; then
    version=$(ls /etc/postgresql | tail -n 1)
    # the tests connect as postgres from this machine, without a password
    sed -i -E 's/^(host +all +all +(127\.0\.0\.1\/32|::1\/128) +).*/\1trust/' "/etc/postgresql/$version/main/pg_hba.conf"
    pg_ctlcluster --skip-systemctl-redirect "$version" main start
  fi
  answers 5672 || rabbitmq-server -detached
  answers 6379 || redis-server --daemonize yes --bind 127.0.0.1 --save '' --appendonly no
elif command -v docker >/dev/null && docker info >/dev/null 2>&1 && [ -f docker-compose.yml ]; then
  docker compose up --detach --wait postgres rabbitmq redis
fi

for _ in $(seq 60); do missing || exit 0; sleep 1; done
echo "The tests need PostgreSQL on 5432, RabbitMQ on 5672 and Redis on 6379 of 127.0.0.1, and could not start them." >&2
echo "Start them yourself, or run as root on Debian, or install docker compose." >&2
exit 1
