// A backend in Go for the interop tests: each path does one thing that a balancer may get wrong.
package main

import (
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strconv"
)

// goOn lets /events send its next event: the client asks for /go-on when it has read the last one.
var goOn = make(chan struct{}, 1)

// gone is told of each client of /never that has gone away; /gone waits for one.
var gone = make(chan struct{}, 1)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	folder := flag.String("folder", ".", "folder of the files under /sized/ and /chunked/")
	flag.Parse()

	http.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello from go\n")
	})
	http.HandleFunc("/request", describe)
	http.HandleFunc("/upload", hash)
	http.HandleFunc("/events", events)
	http.HandleFunc("/go-on", func(w http.ResponseWriter, r *http.Request) { goOn <- struct{}{} })
	http.HandleFunc("/never", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		gone <- struct{}{}
	})
	http.HandleFunc("/gone", func(w http.ResponseWriter, r *http.Request) {
		<-gone
		io.WriteString(w, "gone\n")
	})
	http.HandleFunc("/hinted", hinted)
	http.HandleFunc("/trailers", trailers)
	http.HandleFunc("/cookies", cookies)
	http.HandleFunc("/status", status)
	http.HandleFunc("/cut/sized", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		cut(w)
	})
	http.HandleFunc("/cut/chunked", func(w http.ResponseWriter, r *http.Request) { cut(w) })
	http.HandleFunc("/sized/", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(*folder, filepath.Base(r.URL.Path)))
	})
	http.HandleFunc("/chunked/", func(w http.ResponseWriter, r *http.Request) {
		file, err := os.Open(filepath.Join(*folder, filepath.Base(r.URL.Path)))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		defer file.Close()
		io.Copy(w, file)
	})
	log.Fatal(http.ListenAndServe(*listen, nil))
}

// describe tells how the request looked when it arrived.
func describe(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "%s %s %s\n", r.Method, r.RequestURI, r.Proto)
	fmt.Fprintf(w, "Host: %s\n", r.Host)
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		for _, value := range r.Header[name] {
			fmt.Fprintf(w, "%s: %s\n", name, value)
		}
	}
}

// hash answers with the length and the hash of the content, and how it was framed.
func hash(w http.ResponseWriter, r *http.Request) {
	sum := fnv.New64a()
	n, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%d %016x length=%d coding=%v\n", n, sum.Sum64(), r.ContentLength, r.TransferEncoding)
}

// events sends each event but the first only after the client has confirmed the one before.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := 1; i <= 3; i++ {
		fmt.Fprintf(w, "data: %d\n\n", i)
		w.(http.Flusher).Flush()
		select {
		case <-goOn:
		case <-r.Context().Done():
			return
		}
	}
}

func hinted(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Link", "</style.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	io.WriteString(w, "after the hint\n")
}

func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Sum")
	io.WriteString(w, "before the trailer\n")
	w.Header().Set("X-Sum", "42")
}

func cookies(w http.ResponseWriter, r *http.Request) {
	for _, name := range []string{"a", "b", "c"} {
		http.SetCookie(w, &http.Cookie{Name: name, Value: "1"})
	}
}

func status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.URL.Query().Get("code"))
	if err != nil {
		code = http.StatusBadRequest
	}
	w.WriteHeader(code)
}

// cut sends a part of the content and then breaks the connection.
func cut(w http.ResponseWriter) {
	w.Write(make([]byte, 100000))
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}
