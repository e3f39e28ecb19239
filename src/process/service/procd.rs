//! The init script of `OpenWrt`'s procd.

use crate::process::service::Service;
use crate::process::shell::quoted;

/// A script that runs this.
pub fn script(service: &Service) -> String {
    let mut words = vec![quoted(&service.program.to_string_lossy())];
    words.extend(service.words.iter().map(|word| quoted(word)));
    let command = words.join(" \\\n\t\t");
    let n = service.n_descriptors();
    let seconds = service.stop_seconds();
    format!(
        "#!/bin/sh /etc/rc.common
# Printed by threadbare service procd; for /etc/init.d/threadbare, mode 755.
# shellcheck disable=SC2034 # rc.common reads them

USE_PROCD=1
START=95
STOP=10

start_service() {{
	procd_open_instance
	procd_set_param command \\
		{command}
	# However often it ends: again after 5 s.
	procd_set_param respawn 3600 5 0
	procd_set_param limits nofile=\"{n} {n}\"
	procd_set_param no_new_privs 1
	procd_set_param stdout 1
	procd_set_param stderr 1
	procd_set_param term_timeout {seconds}
	procd_close_instance
}}

reload_service() {{
	procd_send_signal threadbare '*' HUP
}}
"
    )
}
