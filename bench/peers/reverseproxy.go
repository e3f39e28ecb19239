// The least a Go programmer would write with care: one httputil.ReverseProxy that picks a backend
// for each request, a transport that keeps enough idle connections, and buffers that are reused.
package main

import (
	"flag"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// bufferPool lends the buffers through which answers are copied.
type bufferPool struct{ pool sync.Pool }

func (p *bufferPool) Get() []byte  { return *p.pool.Get().(*[]byte) }
func (p *bufferPool) Put(b []byte) { p.pool.Put(&b) }

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	list := flag.String("backends", "", "URLs of the backends, with commas between them")
	flag.Parse()

	var backends []*url.URL
	for _, text := range strings.Split(*list, ",") {
		backend, err := url.Parse(text)
		if err != nil {
			log.Fatal(err)
		}
		backends = append(backends, backend)
	}

	var turn uint64
	proxy := &httputil.ReverseProxy{
		Director: func(r *http.Request) {
			backend := backends[atomic.AddUint64(&turn, 1)%uint64(len(backends))]
			r.URL.Scheme = backend.Scheme
			r.URL.Host = backend.Host
			r.Header.Set("X-Forwarded-Proto", "http")
			r.Header.Set("X-Forwarded-Host", r.Host)
		},
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: 2 * time.Second}).DialContext,
			MaxIdleConnsPerHost:   1024,
			IdleConnTimeout:       30 * time.Second,
			ResponseHeaderTimeout: 60 * time.Second,
			DisableCompression:    true,
		},
		BufferPool: &bufferPool{sync.Pool{New: func() any {
			b := make([]byte, 32*1024)
			return &b
		}}},
	}
	log.Fatal(http.ListenAndServe(*listen, proxy))
}
