//! Encryption of connections: whom they trust is what `sslmode` and `sslrootcert` say, with libpq's meaning.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use super::options::{Root, SslMode, TlsOptions};

/// The configuration for connections with these options.
///
/// # Errors
/// What is wrong with the files that they name, and what to do.
pub(super) fn config(options: &TlsOptions) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let roots = match &options.root {
        None => Trusted::Anybody,
        Some(root) => {
            let (roots, listed) = roots(root)?;
            Trusted::Roots { roots, listed, by_name: options.mode == SslMode::VerifyFull }
        }
    };
    let verifier = Arc::new(Verifier { trusted: roots, provider: Arc::clone(&provider) });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be used: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some((certificate, key)) = &options.identity else { return Ok(builder.with_no_client_auth()) };
    let chain = certificates(certificate, "sslcert")?;
    let key = PrivateKeyDer::from_pem_file(key)
        .map_err(|_| format!("`sslkey` {} holds no private key that can be read (PEM)", key.display()))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| format!("`sslcert` and `sslkey` cannot be used together: {error}"))
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |why: String| format!("`{what}` {} {why}", path.display());
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(format!("cannot be read: {error}")))?;
    if found.is_empty() { Err(wrong("holds no certificate (PEM)".to_owned())) } else { Ok(found) }
}

/// Trusted roots; those of a file also as they are written there.
fn roots(root: &Root) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
    let mut roots = RootCertStore::empty();
    match root {
        Root::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(
                    "this system has no trusted root certificates: install them (ca-certificates), or \
                            name a file as `sslrootcert`"
                        .to_owned(),
                );
            }
            Ok((roots, Vec::new()))
        }
        Root::File(path) => {
            let listed = certificates(path, "sslrootcert")?;
            for certificate in &listed {
                roots.add(certificate.clone()).map_err(|error| {
                    format!("`sslrootcert` {} holds a certificate that is none: {error}", path.display())
                })?;
            }
            Ok((roots, listed))
        }
    }
}

/// Whose certificates do.
#[derive(Debug)]
enum Trusted {
    /// Anybody's: the connection is encrypted, but may be with somebody else.
    Anybody,
    /// Those that a root has signed.
    Roots {
        roots: RootCertStore,
        /// A server may present one of these itself: PostgreSQL's own guide makes such certificates.
        listed: Vec<CertificateDer<'static>>,
        /// They must also be in the server's name.
        by_name: bool,
    },
}

#[derive(Debug)]
struct Verifier {
    trusted: Trusted,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trusted::Roots { roots, listed, by_name } = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        let signed =
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms);
        match signed {
            // That it is a root is found out after its dates were looked at.
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if listed.contains(end_entity) => {}
            other => other?,
        }
        if *by_name {
            verify_server_name(&certificate, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
