package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"letterbox/appliance/config"
	"letterbox/appliance/control"
)

func userQuota(ctx context.Context, args []string, c console) error {
	f := newDataFlags("user quota", c)
	messages := f.String("messages", "", "how many messages the person may have: a `number`, none, or default; without it, that stays as it is")
	return withClient(f, args, c, []string{"NAME", "SIZE"}, func(words []string, client *control.Client) error {
		change, err := quotaChange(words[1], *messages)
		if err != nil {
			return err
		}
		if err := client.SetQuota(ctx, words[0], change); err != nil {
			return err
		}
		return sayQuota(ctx, words[0], client, c)
	})
}

// quotaChange reads what was written of sizes and numbers.
func quotaChange(size, messages string) (change control.QuotaChange, err error) {
	change.Bytes, err = readBound(size, func(text string) (int64, error) {
		n, err := config.ParseSize(text)
		return int64(n), err
	})
	if err != nil || messages == "" {
		return change, err
	}
	change.Messages, err = readBound(messages, func(text string) (int64, error) {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			err = fmt.Errorf("%q is no number of messages", text)
		}
		return n, err
	})
	return change, err
}

// readBound reads none, default, or what parse does.
func readBound(text string, parse func(string) (int64, error)) (*int64, error) {
	n := int64(control.NoQuota)
	switch strings.ToLower(text) {
	case "none":
		return &n, nil
	case "default":
		n = control.DefaultQuota
		return &n, nil
	}
	n, err := parse(text)
	if err == nil && n <= 0 {
		err = fmt.Errorf("%q would let nobody have anything: write none for no bound", text)
	}
	if err != nil {
		return nil, usageError("user quota: " + err.Error())
	}
	return &n, nil
}

// sayQuota tells what came of a change.
func sayQuota(ctx context.Context, person string, client *control.Client, c console) error {
	people, err := client.People(ctx)
	if err != nil {
		return err
	}
	for _, p := range people {
		if p.Name == config.FoldName(person) {
			return say(c, "%s: %s.", p.Name, told(p))
		}
	}
	return nil // removed just now
}

// told says what a person has, of what they may have.
func told(p control.Person) string {
	if p.Used == nil {
		return "how much mail there is cannot be found out"
	}
	used := config.Size(p.Used.Bytes).Readable()
	if p.Quota.Bytes > 0 {
		used += " of " + config.Size(p.Quota.Bytes).Readable()
	}
	used += ", " + strconv.FormatInt(p.Used.Messages, 10)
	switch {
	case p.Quota.Messages > 0:
		used += " of " + strconv.FormatInt(p.Quota.Messages, 10) + " messages"
	case p.Used.Messages == 1:
		used += " message"
	default:
		used += " messages"
	}
	return used
}
