// What people need to know of an X.509 certificate, in words. Thin over OpenSSL.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace lockstep {

template <auto Free>
struct OpenSslFree {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using X509Ptr = std::unique_ptr<X509, OpenSslFree<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpenSslFree<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, OpenSslFree<BIO_free_all>>;
using SslPtr = std::unique_ptr<SSL, OpenSslFree<SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpenSslFree<SSL_CTX_free>>;

std::string SubjectOf(X509* certificate);  // "CN=coordinator,O=lab"
std::string IssuerOf(X509* certificate);
std::string NamesOf(X509* certificate);  // "coordinator.lab, 10.0.0.5"; "no name" if it has none
absl::Time NotBefore(X509* certificate);
absl::Time NotAfter(X509* certificate);
bool IsFor(X509* certificate, const std::string& host);  // a name or an address

// Empty: valid at `now`; else "expired on ... (3 days ago)" or "is valid only from ...".
std::string ValidityProblem(X509* certificate, absl::Time now);

// What OpenSSL put into this thread's queue of errors, which is then empty.
std::string OpenSslErrors();

}  // namespace lockstep
