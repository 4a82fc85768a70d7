// Pause is the program of the test pods: it waits until it is told to end. Its
// image holds nothing else, so what a test wants to try from inside a pod, where
// there is no shell, is here too:
//
//	pause                  waits for SIGINT or SIGTERM
//	pause dial HOST:PORT   tries a TCP connection: "connected", or the error and exit 1
//	pause cat FILE         prints a file
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		// On stdout, as "connected" is: one stream tells what came of it.
		fmt.Println(err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 0:
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
		<-end
		return nil
	case len(args) == 2 && args[0] == "dial":
		conn, err := net.DialTimeout("tcp", args[1], 3*time.Second)
		if err != nil {
			return err
		}
		fmt.Println("connected")
		return conn.Close()
	case len(args) == 2 && args[0] == "cat":
		f, err := os.Open(args[1])
		if err != nil {
			return err
		}
		_, err = io.Copy(os.Stdout, f)
		return err
	}
	return fmt.Errorf("usage: pause [dial HOST:PORT | cat FILE]")
}
