package webui

import (
	"strconv"
	"unicode"
	"unicode/utf8"
)

// The texts that are not part of a template: faults, refusals and what depends on the state of things.

const (
	faultNoCode          = "Type the code that Letterbox shows on the box itself."
	faultCodeWrong       = "That is not the code. Check each group of four and try again."
	faultCodeVoid        = "This code is no longer good: a code works once, for an hour and for ten tries. Ask the box for a new one with: letterbox setup-code"
	faultSessionOver     = "This set-up was left alone for too long, or Letterbox was started anew. Nothing has been changed. Ask the box for a new code with: letterbox setup-code"
	faultNoHousehold     = "Give the household a name. You can change it later."
	faultNoDomain        = "Type the domain that belongs to you, such as example.org."
	faultOneLabel        = "A mail domain has at least one dot in it, such as example.org."
	faultNoFullName      = "Say what this person is called."
	faultNoLogin         = "Choose a name for signing in: no free one can be made from the full name."
	faultTaken           = "Somebody here has this name already. Choose another one."
	faultNoPassword      = "Choose a password."
	faultPasswordsDiffer = "The two are not the same. Type the password anew in both fields."
	faultNotShown        = "Something was changed in another window. This is what will be set up now: look it over once more."
)

// The hints and labels of the fields.
const (
	labelCode      = "One-time code"
	hintCode       = "Seven groups of four. Capitals and hyphens do not matter."
	hintCodeFilled = "Your link has filled it in."
	labelHousehold = "Name of the household"
	hintHousehold  = "As you would write it on the letterbox at the door: The Millers, Workshop, Boat Aurora."
	labelDomain    = "Your domain"
	hintDomain     = "Such as example.org. Mail from the internet comes once its MX record names this box."
	labelHostname  = "Name of this box"
	hintHostname   = "Left empty it is %s for mail at home, and mail. before a domain of your own."
	labelFullName  = "Full name"
	hintFullName   = "As others see it beside the address, such as Ann Miller."
	labelLogin     = "Sign-in name"
	hintLogin      = "It also stands before @%s. Left empty, it is made from the full name: Ann Miller becomes ann."
	labelPassword  = "Password"
	labelAgain     = "Password once more"

	hintPassword     = "At least 10 characters. Three or four words that only you would put together are good, and easy to type."
	hintPasswordKept = "The password is kept. Leave both fields empty, or type another."
)

// The headings.
const (
	titleWelcome   = "Welcome"
	titleAgain     = "Add people, change names"
	titleHousehold = "Whose letterbox is this?"
	titleAddress   = "Where does your mail live?"
	titleFirst     = "Who is the first person?"
	titleOthers    = "Who else lives here?"
	titleReview    = "Is this right?"
	titleDone      = "Your letterbox is ready"
	titleDoneMore  = "One more mailbox is ready"
	titleDoneAgain = "All set"
	titleHome      = "Your letterbox is running"
)

// refusal is a page that shows nothing but why.
type refusal struct{ Title, Lead string }

var (
	refusalNotFound = refusal{"Nothing here", "This page does not exist."}
	refusalOrigin   = refusal{"Not from here", "This form was sent by another web site, so nothing was done."}
	refusalMethod   = refusal{"Not like this", "This page cannot be asked for in this way."}
	refusalFar      = refusal{"Only at home", "These pages are shown to devices in the house only. Connect to the home network and try again."}
	refusalProxy    = refusal{"Not through a proxy", "These pages are shown to devices in the house only, and behind a proxy it cannot be told who asks. Open Letterbox at its own address and port."}
	refusalHost     = refusal{"Another address", "Letterbox does not know itself by this name. Open it by its address, such as https://192.168.1.2, or by its own name."}
	refusalPlain    = refusal{"Not protected", "This page is shown over a protected connection only: begin its address with https."}
	refusalTooLarge = refusal{"Too much", "More was sent than a form of these pages can hold, so nothing was done."}
	refusalHalf     = refusal{"Not all of it came", "The form did not arrive whole, so nothing was done. Go back and send it once more."}
	refusalBroken   = refusal{"Something went wrong", "This page could not be made. The log of Letterbox says why."}
)

// The pages of the wizard, for the line that shows the way.
const (
	stepHousehold = "Household"
	stepAddress   = "Address"
	stepPerson    = "Person"
	stepReview    = "Review"
)

// sentence makes an error's text one for people: a capital first and a full stop at the end.
func sentence(err error) string {
	text := err.Error()
	first, size := utf8.DecodeRuneInString(text)
	text = string(unicode.ToUpper(first)) + text[size:]
	if last, _ := utf8.DecodeLastRuneInString(text); unicode.IsLetter(last) || unicode.IsDigit(last) || last == '"' || last == ')' {
		text += "."
	}
	return text
}

func itoa(n int) string { return strconv.Itoa(n) }
