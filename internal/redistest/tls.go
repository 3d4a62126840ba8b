package redistest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// StartTLS starts a server that speaks TLS only, with a certificate made for
// 127.0.0.1 on the spot, and stops it at the end of the test. It returns the
// server and the configuration for a client, which trusts that certificate.
func StartTLS(tb testing.TB) (*Server, *tls.Config) {
	tb.Helper()
	cert, key := certificate(tb)
	file := filepath.Join(tb.TempDir(), "server.pem")
	check(tb, os.WriteFile(file, append(key, cert...), 0o600))
	conf := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	conf.RootCAs.AppendCertsFromPEM(cert)
	s := start(tb, tb.Cleanup, conf, "--tls-auth-clients", "no", "--tls-cert-file", file, "--tls-key-file", file)
	return s, conf.Clone()
}

// certificate makes a self-signed certificate and its key, both as PEM.
func certificate(tb testing.TB) (cert, key []byte) {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(tb, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, err = x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	check(tb, err)
	key, err = x509.MarshalPKCS8PrivateKey(k)
	check(tb, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
}
