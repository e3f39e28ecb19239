//! The unit file of systemd.

use std::fmt::Write as _;

use crate::process::service::Service;

/// The folders that systemd makes for it.
const STATE_FOLDER: &str = "/var/lib/threadbare";
const RUNTIME_FOLDER: &str = "/run/threadbare";
const LOG_FOLDER: &str = "/var/log/threadbare";
/// The token's name among the credentials.
const TOKEN: &str = "admin-token";
const TOKEN_OPTION: &str = "--admin-token-file";

/// What every unit has, after what depends on the options.
const HARDENING: &str = "
# It needs the network, its configuration, and nothing else.
DynamicUser=yes
StateDirectory=threadbare
UMask=0077
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
ProtectProc=invisible
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
PrivateDevices=yes
PrivateTmp=yes
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
";

/// A unit that runs this. `Type=notify` with `ExecReload=` works with every systemd; from 253 on,
/// `Type=notify-reload` alone does the same, and `systemctl reload` waits for the end.
pub fn unit(service: &Service) -> String {
    let mut page = Page(String::new());
    page.line(
        "# Printed by threadbare service systemd; for /etc/systemd/system/threadbare.service.",
    );
    page.line("# From systemd 253 on, Type=notify-reload without ExecReload= waits for reloads.");
    page.line("[Unit]");
    page.line("Description=threadbare, an HTTP load balancer");
    page.line("Wants=network-online.target");
    page.line("After=network-online.target");
    if service.takes_sockets() {
        page.line("Requires=threadbare.socket");
        page.line("After=threadbare.socket");
    }
    page.line("\n[Service]");
    page.line("Type=notify");
    page.line(&format!("ExecStart={}", command(service)));
    page.line("ExecReload=/bin/kill -HUP $MAINPID");
    page.line("Restart=on-failure");
    page.line("RestartSec=1s");
    page.line("# What is wrong with the options is so at each start.");
    page.line("RestartPreventExitStatus=2");
    page.line("WatchdogSec=30s");
    page.line(&format!("TimeoutStopSec={}s", service.stop_seconds()));
    page.line(&format!("LimitNOFILE={}", service.n_descriptors()));
    if let Some(path) = &service.config.admin_token_file {
        let path = specifiers(&path.display().to_string());
        page.line(&format!("LoadCredential={TOKEN}:{path}"));
    }
    for folder in service.written() {
        if folder.starts_with(RUNTIME_FOLDER) {
            page.line("RuntimeDirectory=threadbare");
        } else if folder.starts_with(LOG_FOLDER) {
            page.line("LogsDirectory=threadbare");
        } else if !folder.starts_with(STATE_FOLDER) {
            page.line("# Its user must be able to write there; a StateDirectory= is made for it.");
            page.line(&format!(
                "ReadWritePaths={}",
                quoted(&folder.to_string_lossy())
            ));
        }
    }
    page.0.push_str(HARDENING);
    if service.has_low_port() {
        page.line("# For its port below 1024.");
        page.line("AmbientCapabilities=CAP_NET_BIND_SERVICE");
        page.line("CapabilityBoundingSet=CAP_NET_BIND_SERVICE");
    } else {
        page.line("CapabilityBoundingSet=");
        page.line("PrivateUsers=yes");
    }
    page.line("\n[Install]");
    page.line("WantedBy=multi-user.target");
    page.0
}

/// What has been written.
struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }
}

/// The command line. The token's file, which nobody else may read, is read by systemd for it.
fn command(service: &Service) -> String {
    let mut words = vec![quoted(&service.program.to_string_lossy())];
    let mut is_token = false;
    for word in &service.words {
        words.push(if is_token {
            format!("%d/{TOKEN}")
        } else {
            quoted(word)
        });
        is_token = word == TOKEN_OPTION;
    }
    words.join(" ")
}

/// A word as `systemd.syntax(7)` has it, in quotes where it needs them.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@[]".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in specifiers(word).chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '$' => quoted.push_str("$$"),
            _ if letter.is_control() => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(quoted, "\\x{byte:02x}"); // never fails
                }
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// The text, with every percent sign as one.
fn specifiers(text: &str) -> String {
    text.replace('%', "%%")
}
