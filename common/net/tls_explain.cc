#include "common/net/tls_explain.h"

#include <netdb.h>
#include <openssl/err.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "absl/time/clock.h"
#include "common/net/certificate.h"

namespace lockstep {
namespace {

// -1: nobody listens there.
int ConnectTo(const HostPort& address, absl::Duration timeout) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found) != 0) return -1;
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit = absl::ToTimeval(timeout);  // Linux: bounds connect as well
  if (fd >= 0) {
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
      close(fd);
      fd = -1;
    }
  }
  freeaddrinfo(found);
  return fd;
}

struct Verdict {
  int error = X509_V_OK;
  X509Ptr certificate;  // that the error is about
};

// Goes on after an error, so that the whole certificate can be told of.
int Remember(int ok, X509_STORE_CTX* store) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* verdict = static_cast<Verdict*>(SSL_get_app_data(ssl));
  if (ok == 0 && verdict->error == X509_V_OK) {
    verdict->error = X509_STORE_CTX_get_error(store);
    X509* certificate = X509_STORE_CTX_get_current_cert(store);
    X509_up_ref(certificate);
    verdict->certificate.reset(certificate);
  }
  return 1;
}

std::string AboutChain(const std::string& server, X509* shown, const Verdict& verdict,
                       const TlsFiles& files) {
  X509* certificate = verdict.certificate.get();  // perhaps one of those above the one that was shown
  const std::string problem = ValidityProblem(certificate, absl::Now());
  if (!problem.empty()) {
    return absl::StrCat(server, " showed a certificate of ", SubjectOf(certificate), " that ", problem,
                        "; have it issued anew by ", IssuerOf(certificate),
                        " and put it in the place of the old one: it is taken up without a restart");
  }
  return absl::StrCat(server, " showed a certificate of ", SubjectOf(shown), ", issued by ", IssuerOf(shown),
                      ", which --tls-ca ", files.ca, " does not vouch for (",
                      X509_verify_cert_error_string(verdict.error),
                      "); is this the right server, and the file of its authority?");
}

std::string AboutOurs(const std::string& server, const TlsFiles& files) {
  const std::string reason = OpenSslErrors();
  if (files.cert.empty()) {
    return absl::StrCat(server, " wants a certificate from its clients, and none was given (", reason,
                        "); give one with --tls-cert and --tls-key");
  }
  const absl::Status ours = CheckTlsFiles({.cert = files.cert, .key = files.key}, {}, absl::Now());
  if (!ours.ok()) return std::string(ours.message());
  return absl::StrCat(server, " refused our certificate, --tls-cert ", files.cert, " (", reason,
                      "); does it come from the authority that the coordinator's --tls-client-ca names?");
}

bool WaitsForMore(const SSL* ssl, int result) {
  const int error = SSL_get_error(ssl, result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

std::string Probe(const HostPort& address, const TlsFiles& files, absl::Duration timeout) {
  const int fd = ConnectTo(address, timeout);
  if (fd < 0) return "";
  const std::string server = absl::StrCat("the server at ", address.ToString());
  ERR_clear_error();
  Verdict verdict;
  const SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  if (!files.ca.empty()) SSL_CTX_load_verify_locations(context.get(), files.ca.c_str(), nullptr);
  if (!files.cert.empty()) {
    SSL_CTX_use_certificate_chain_file(context.get(), files.cert.c_str());
    SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM);
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, &Remember);
  ERR_clear_error();
  const SslPtr ssl(SSL_new(context.get()));
  SSL_set_app_data(ssl.get(), &verdict);
  SSL_set_tlsext_host_name(ssl.get(), address.host.c_str());
  static constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_set_alpn_protos(ssl.get(), kHttp2, sizeof kHttp2);
  SSL_set_fd(ssl.get(), fd);
  std::string problem;
  const int connected = SSL_connect(ssl.get());
  const bool shown = SSL_get0_peer_certificate(ssl.get()) != nullptr;
  if (files.empty()) {
    if (shown) {
      problem = absl::StrCat(server,
                             " speaks TLS, and this client was told of none; give --tls-ca "
                             "(or LOCKSTEP_TLS_CA), the file of the authority that it trusts");
    }
  } else if (!shown) {
    if (!WaitsForMore(ssl.get(), connected)) {
      problem = absl::StrCat(server, " does not speak TLS (", OpenSslErrors(),
                             "), and --tls-ca asks for it; leave --tls-ca out, or start the coordinator "
                             "with --tls-cert and --tls-key");
    }
  } else if (verdict.error != X509_V_OK) {
    problem = AboutChain(server, SSL_get0_peer_certificate(ssl.get()), verdict, files);
  } else if (X509* certificate = SSL_get0_peer_certificate(ssl.get()); !IsFor(certificate, address.host)) {
    problem =
        absl::StrCat(server, " showed a certificate for ", NamesOf(certificate), " (", SubjectOf(certificate),
                     "), expected one for ", address.host,
                     "; use a name that it is for, or have one issued with subjectAltName ", address.host);
  } else {
    // With TLS 1.3 a server refuses a client's certificate only after the client's handshake is over; one
    // that is content sends its settings.
    char byte = 0;
    const int got = connected == 1 ? SSL_read(ssl.get(), &byte, 1) : connected;
    if (got <= 0 && !WaitsForMore(ssl.get(), got)) problem = AboutOurs(server, files);
  }
  ERR_clear_error();
  close(fd);
  return problem;
}

}  // namespace

std::string ExplainTls(const HostPort& address, const TlsFiles& files, absl::Duration timeout) {
  const std::string problem = Probe(address, files, timeout);
  if (problem.empty()) return "";
  absl::SleepFor(absl::Milliseconds(100));  // a server that was just ending is gone now
  return Probe(address, files, timeout);
}

}  // namespace lockstep
