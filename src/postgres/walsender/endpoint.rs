//! Where a connection string leads to, and with which password: as much of libpq's rules as is needed to find a primary.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::parameters::Host;
use crate::postgres::conninfo::{Conninfo, passfile};

/// libpq's port.
const PORT: u16 = 5432;

/// Where libpq looks for a socket if no host is given: that depends on how it was built.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// What we do not do for libpq. A connection that needs it is not made.
const NOT_KNOWN: [&str; 4] = ["service", "servicefile", "requirepeer", "require_auth"];

/// One place to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// The directory of a socket, or an address, or a name that is to be looked up.
    pub(super) host: Host,
    /// By which the password is looked up.
    pub(super) name: String,
    /// The port.
    pub(super) port: u16,
}

/// Where `conninfo` leads to, in its order; or why that is not for us.
pub(super) fn all(conninfo: &Conninfo) -> Result<Vec<Endpoint>, String> {
    let set = |keyword: &&&str| conninfo.get(keyword).is_some();
    if let Some(keyword) = NOT_KNOWN.iter().find(set) {
        return Err(format!("primary_conninfo has {keyword}, which pgsqlms does not know"));
    }
    for (keyword, wanted) in [("gssencmode", "require"), ("channel_binding", "require"), ("sslnegotiation", "direct")] {
        if conninfo.get(keyword) == Some(wanted) {
            return Err(format!("primary_conninfo has {keyword}={wanted}, which pgsqlms does not know"));
        }
    }
    let list = |keyword| -> Vec<&str> { conninfo.get(keyword).map_or(Vec::new(), |list| list.split(',').collect()) };
    let (hosts, addresses, ports) = (list("host"), list("hostaddr"), list("port"));
    let count = hosts.len().max(addresses.len());
    let port =
        |number: usize| match ports.get(if ports.len() == 1 { 0 } else { number }).filter(|port| !port.is_empty()) {
            Some(port) => port.trim().parse().map_err(|_| format!("primary_conninfo has the port {port}")),
            None => Ok(PORT),
        };
    if count == 0 {
        let port = port(0)?;
        let socket = |directory: &&str| Endpoint { host: host(directory), name: (*directory).to_owned(), port };
        return Ok(SOCKET_DIRECTORIES.iter().map(socket).collect());
    }
    let endpoint = |number: usize| {
        let given = |list: &[&'_ str]| list.get(number).filter(|text| !text.is_empty()).map(|text| (*text).to_owned());
        let (name, address) = (given(&hosts), given(&addresses));
        let to = address.clone().or_else(|| name.clone()).unwrap_or_else(|| SOCKET_DIRECTORIES[0].to_owned());
        let name = name.unwrap_or_else(|| to.clone());
        Ok(Endpoint { host: host(&to), name, port: port(number)? })
    };
    (0..count).map(endpoint).collect()
}

fn host(text: &str) -> Host {
    if text.starts_with('/') { Host::Directory(PathBuf::from(text)) } else { Host::Name(text.to_owned()) }
}

impl Endpoint {
    /// Whether what is sent there leaves this machine.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.host, Host::Name(_))
    }

    /// The password in the file that libpq would look into: the one that is named, or that of the user whose `home` this is.
    pub(super) fn password(&self, conninfo: &Conninfo, user: &str, home: &Path) -> Option<String> {
        let path = conninfo.get("passfile").map_or_else(|| home.join(".pgpass"), PathBuf::from);
        let found = fs::metadata(&path).ok()?;
        if !found.is_file() || found.permissions().mode() & 0o077 != 0 {
            return None;
        }
        let text = fs::read_to_string(&path).ok()?;
        let is_default = SOCKET_DIRECTORIES.contains(&self.name.as_str());
        let hosts = if is_default { vec!["localhost", self.name.as_str()] } else { vec![self.name.as_str()] };
        passfile::password(&text, &hosts, self.port, "replication", user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::table;

    fn leads_to(conninfo: &str) -> String {
        let endpoint = |endpoint: &Endpoint| match &endpoint.host {
            Host::Directory(path) => format!("{}:{}", path.display(), endpoint.port),
            Host::Name(name) if *name == endpoint.name => format!("{name}:{}", endpoint.port),
            Host::Name(address) => format!("{}={address}:{}", endpoint.name, endpoint.port),
        };
        match all(&conninfo.parse().unwrap()) {
            Ok(all) => all.iter().map(endpoint).collect::<Vec<_>>().join(" "),
            Err(why) => why,
        }
    }

    table! { leads_to;
        a_host: "host=srv2 port=5433" => "srv2:5433";
        a_socket: "host=/run/pg" => "/run/pg:5432";
        an_address: "hostaddr=10.0.0.2" => "10.0.0.2:5432";
        an_address_with_a_name: "host=srv2 hostaddr=10.0.0.2" => "srv2=10.0.0.2:5432";
        several: "host=a,b port=1,2" => "a:1 b:2";
        several_with_one_port: "host=a,/b port=1" => "a:1 /b:1";
        none: "user=x" => "/var/run/postgresql:5432 /tmp:5432";
        no_port: "host=a port=x" => "primary_conninfo has the port x";
        what_we_do_not_know: "service=x host=a" => "primary_conninfo has service, which pgsqlms does not know";
        what_we_do_not_do: "host=a gssencmode=require" =>
            "primary_conninfo has gssencmode=require, which pgsqlms does not know";
    }

    #[test]
    fn a_password_comes_from_a_file_that_only_its_owner_can_read() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join(".pgpass");
        fs::write(&file, "srv2:5432:replication:rep:secret\nlocalhost:*:*:*:local\n").unwrap();
        let password = |conninfo: &str| {
            let conninfo = conninfo.parse().unwrap();
            all(&conninfo).unwrap()[0].password(&conninfo, "rep", home.path())
        };
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(password("host=srv2").as_deref(), Some("secret"));
        assert_eq!(password("host=srv3"), None);
        assert_eq!(password("user=rep").as_deref(), Some("local"));
        assert_eq!(password(&format!("host=srv2 passfile={}", file.display())).as_deref(), Some("secret"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(password("host=srv2"), None);
    }
}
