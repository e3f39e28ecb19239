// The balancer that many tutorials build: an atomic counter, a ReverseProxy for each backend with
// nothing tuned, an alive flag under a lock, retries from the error handler, and a loop that dials.
package main

import (
	"context"
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

const (
	maxRetries  = 3 // on the same backend
	maxAttempts = 3 // at different backends
	retryPause  = 10 * time.Millisecond
	dialPause   = 10 * time.Second
	dialTimeout = 2 * time.Second
)

type contextKey int

const (
	retriesKey contextKey = iota
	attemptsKey
)

type backend struct {
	url   *url.URL
	proxy *httputil.ReverseProxy

	mu    sync.RWMutex
	alive bool
}

func (b *backend) setAlive(alive bool) {
	b.mu.Lock()
	b.alive = alive
	b.mu.Unlock()
}

func (b *backend) isAlive() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.alive
}

type pool struct {
	backends []*backend
	turn     uint64
}

// next gives the backend whose turn it is, or the first alive one after it, or nil.
func (p *pool) next() *backend {
	n := uint64(len(p.backends))
	start := atomic.AddUint64(&p.turn, 1)
	for i := uint64(0); i < n; i++ {
		idx := (start + i) % n
		if b := p.backends[idx]; b.isAlive() {
			if i != 0 {
				atomic.StoreUint64(&p.turn, idx)
			}
			return b
		}
	}
	return nil
}

func (p *pool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if count(r, attemptsKey) < maxAttempts {
		if b := p.next(); b != nil {
			b.proxy.ServeHTTP(w, r)
			return
		}
	}
	http.Error(w, "service not available", http.StatusServiceUnavailable)
}

func (p *pool) add(u *url.URL) {
	b := &backend{url: u, proxy: httputil.NewSingleHostReverseProxy(u), alive: true}
	b.proxy.ErrorHandler = func(w http.ResponseWriter, r *http.Request, err error) {
		// Not in the tutorials, which take a client that goes away for a failed backend: without
		// it all three are down as soon as the first load has ended.
		if r.Context().Err() != nil {
			return
		}
		log.Printf("%s: %v", u.Host, err)
		if retries := count(r, retriesKey); retries < maxRetries {
			time.Sleep(retryPause)
			b.proxy.ServeHTTP(w, with(r, retriesKey, retries+1))
			return
		}
		b.setAlive(false)
		r = with(r, retriesKey, 0)
		p.ServeHTTP(w, with(r, attemptsKey, count(r, attemptsKey)+1))
	}
	p.backends = append(p.backends, b)
}

func (p *pool) dialForEver() {
	for range time.Tick(dialPause) {
		for _, b := range p.backends {
			conn, err := net.DialTimeout("tcp", b.url.Host, dialTimeout)
			if err == nil {
				conn.Close()
			}
			b.setAlive(err == nil)
		}
	}
}

func count(r *http.Request, key contextKey) int {
	n, _ := r.Context().Value(key).(int)
	return n
}

func with(r *http.Request, key contextKey, n int) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), key, n))
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "address to listen on")
	list := flag.String("backends", "", "URLs of the backends, with commas between them")
	flag.Parse()

	p := &pool{}
	for _, text := range strings.Split(*list, ",") {
		u, err := url.Parse(text)
		if err != nil {
			log.Fatal(err)
		}
		p.add(u)
	}
	go p.dialForEver()
	log.Fatal(http.ListenAndServe(*listen, p))
}
