"""The settings about who may use the port, and how much of it."""

from __future__ import annotations

from launcher.config import parsers
from launcher.config.key import Key

ACCESS = (
    Key(
        "LAUNCHER_USERS",
        "",
        "Names with a token each, separated by commas: who asks then stands in the audit log.",
        "多个用户及各自的密钥，用逗号分隔；审计日志会记录是谁发出的请求。",
        "",
        parsers.users,
        secret=True,
        default_note="nobody",
    ),
    Key(
        "LAUNCHER_INSECURE",
        "no",
        "Let everybody who reaches LAUNCHER_HOST in without a token: yes or no.",
        "是否允许所有能访问 LAUNCHER_HOST 的人无需密钥即可使用：yes 或 no。",
        "yes",
        parsers.choice("yes", "no"),
    ),
    Key(
        "LAUNCHER_TRUSTED_PROXIES",
        "",
        "Addresses of reverse proxies, separated by commas, that say who asks (X-Forwarded-For, X-Forwarded-Proto).",
        "可信反向代理的地址，用逗号分隔；只采信它们给出的客户端地址（X-Forwarded-For、X-Forwarded-Proto）。",
        "127.0.0.1,10.0.0.0/8",
        parsers.networks,
        default_note="none",
    ),
    Key(
        "LAUNCHER_TLS_CERT",
        "",
        "File with the certificate (and its chain) in PEM form; the port then speaks HTTPS.",
        "PEM 格式的证书（含证书链）文件；设置后端口使用 HTTPS。",
        "~/tls/fullchain.pem",
        is_path=True,
        default_note="none: HTTP",
    ),
    Key(
        "LAUNCHER_TLS_KEY",
        "",
        "File with the certificate's private key in PEM form, without a passphrase.",
        "证书私钥（PEM 格式，无密码）文件。",
        "~/tls/privkey.pem",
        is_path=True,
        default_note="none",
    ),
    Key(
        "LAUNCHER_RATE_LIMIT",
        "600",
        "Requests that speak or change something, of one user or address a minute; this machine's own are not counted.",
        "每个用户或地址每分钟最多的合成与修改请求数；本机程序不受限制。",
        "60",
        parsers.whole_number(1, 1_000_000),
    ),
    Key(
        "LAUNCHER_MAX_CONNECTIONS",
        "512",
        "Connections at the same time; one address gets a quarter of them at most.",
        "同时打开的最大连接数；单个地址最多占四分之一。",
        "2000",
        parsers.whole_number(8, 100_000),
    ),
    Key(
        "LAUNCHER_TEMP_BYTES",
        "2GB",
        "How much uploads and generated files may lie in the temporary folder; the oldest go first.",
        "临时文件夹中上传和生成文件的最大总量；超出时先删除最旧的。",
        "500MB",
        parsers.size_bytes(1_000_000, 10**13),
    ),
    Key(
        "LAUNCHER_TEMP_HOURS",
        "24",
        "Hours after which a temporary file goes.",
        "临时文件的保留小时数。",
        "1",
        parsers.whole_number(1, 10_000),
    ),
)
