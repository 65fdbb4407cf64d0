// A chapter's quiz. Without this script each choice is a <details> that answers when it is opened. With it the first
// choice of a question counts and is marked in words and by shape, the chapter keeps count, and so does the list of
// chapters on the first page. The answers stay in this browser; where it refuses to keep them, they last as long as
// the page.
{
  const KEY = "hands-on-gans-quiz";
  const texts = new Map(); // of each choice, before any mark is added
  const article = document.querySelector(".bd-article");
  const chapter = nameOf(location.href);
  const questions = article ? gather(article) : [];

  // {"03-the-minimax-game": {of: 3, right: 1, answers: {"1": "the text of the choice"}}, ...}
  function kept() {
    try {
      const all = JSON.parse(localStorage.getItem(KEY));
      return all && typeof all === "object" ? all : {};
    } catch {
      return {};
    }
  }

  function keep(all) {
    try {
      localStorage.setItem(KEY, JSON.stringify(all));
    } catch { /* refused: nothing to do */ }
  }

  function nameOf(address) {
    return new URL(address).pathname.split("/").pop().replace(/\.html$/, "");
  }

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  // ---------------------------------------------------------------- the questions of this page

  // Neighbouring choices belong to one question; the paragraph before them asks it.
  function gather(root) {
    const found = [];
    for (const choice of root.querySelectorAll("details.quiz-choice")) {
      texts.set(choice, choice.querySelector("summary").textContent.trim());
      const before = choice.previousElementSibling;
      if (before?.matches("details.quiz-choice")) found.at(-1).choices.push(choice);
      else found.push({ asked: before, choices: [choice], answer: null });
    }
    found.forEach((question, i) => {
      question.number = i + 1;
      const group = make("div", { className: "quiz-question" });
      question.choices[0].before(group);
      group.append(...question.choices);
      if (question.asked) {
        question.asked.id ||= `quiz-question-${question.number}`;
        group.setAttribute("role", "group");
        group.setAttribute("aria-labelledby", question.asked.id);
      }
    });
    return found;
  }

  const summary = (choice) => choice.querySelector("summary");
  const explanation = (choice) => [...choice.children].filter((child) => child.tagName !== "SUMMARY");
  const isRight = (choice) => /^\W*Right\b/.test(explanation(choice)[0]?.textContent ?? "");
  const right = () => questions.filter((question) => question.answer && isRight(question.answer)).length;

  // Whatever is opened is marked; the first choice is the answer.
  function open(question, choice) {
    const verdict = isRight(choice) ? "✓ right" : "✗ wrong";
    const first = !question.answer;
    if (first) question.answer = choice;
    choice.classList.add(isRight(choice) ? "is-right" : "is-wrong");
    summary(choice).querySelector(".quiz-verdict")?.remove();
    const words = question.answer === choice ? `${verdict}, your answer` : verdict;
    summary(choice).append(make("span", { className: "quiz-verdict", textContent: words }));
    return first;
  }

  function forget() {
    for (const question of questions) {
      question.answer = null;
      for (const choice of question.choices) {
        choice.open = false;
        choice.classList.remove("is-right", "is-wrong");
        summary(choice).querySelector(".quiz-verdict")?.remove();
      }
    }
  }

  if (questions.length) {
    const said = make("span", { className: "visually-hidden" });
    const count = make("span");
    const status = make("p", {}, said, count);
    status.setAttribute("role", "status");
    const again = make("button", { type: "button", textContent: "Start the quiz again" });
    questions.at(-1).choices[0].parentElement.after(make("div", { className: "quiz-result" }, status, again));

    const show = (news = "") => {
      const open = questions.filter((question) => !question.answer).length;
      said.textContent = news;
      count.textContent = `${right()} of ${questions.length} answered right`
        + (open ? `, ${open} still open. The first choice counts.` : ".");
      again.hidden = open === questions.length;
    };
    const store = () => {
      const all = kept();
      const answers = questions.filter((question) => question.answer).map((q) => [q.number, texts.get(q.answer)]);
      if (answers.length) {
        all[chapter] = { of: questions.length, right: right(), answers: Object.fromEntries(answers) };
      } else delete all[chapter];
      keep(all);
    };

    for (const question of questions) {
      for (const choice of question.choices) {
        // A click is a key, too; a choice that the browser opens to find a word in it was not chosen.
        summary(choice).addEventListener("click", () => {
          if (choice.open || !open(question, choice)) return;
          store();
          show(`Question ${question.number}: ${isRight(choice) ? "right" : "wrong"}. `);
        });
      }
      const before = kept()[chapter]?.answers?.[question.number];
      const choice = question.choices.find((one) => texts.get(one) === before);
      if (choice) {
        open(question, choice);
        choice.open = true;
      }
    }
    again.addEventListener("click", () => {
      forget();
      store();
      show("All questions are open again. ");
      summary(questions[0].choices[0]).focus();
    });
    show();
  }

  // ---------------------------------------------------------------- the list of chapters

  const chapters = [...document.querySelectorAll(".bd-article dt > a")].filter((link) => kept()[nameOf(link.href)]);
  for (const link of chapters) {
    const { right, of } = kept()[nameOf(link.href)];
    link.after(make("span", { className: "quiz-progress", textContent: `quiz: ${right} of ${of} right` }));
  }
  if (chapters.length) {
    const button = make("button", { type: "button", textContent: "Forget my answers" });
    const line = make("div", { className: "quiz-result" },
      make("p", { textContent: "Your answers to the quizzes are kept in this browser, and nowhere else." }), button);
    chapters.at(-1).closest("dl").after(line);
    button.addEventListener("click", () => {
      keep({});
      line.remove();
      document.querySelectorAll(".quiz-progress").forEach((progress) => progress.remove());
    });
  }

  // ---------------------------------------------------------------- on paper

  // What is folded is opened, but for the choices: their answers follow the quiz.
  let afterwards = [];
  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll(".bd-article details")) {
      if (fold.closest(".gan-demo")) continue;
      const was = fold.open;
      afterwards.push(() => { fold.open = was; });
      fold.open = !fold.matches(".quiz-choice");
    }
    if (!questions.length) return;
    const answers = make("div", { className: "quiz-answers" },
      make("p", {}, make("strong", { textContent: "Answers" })));
    for (const question of questions) {
      question.choices.forEach((choice, i) => {
        const label = make("strong", { textContent: `${question.number} ${"abcdefgh"[i]} ` });
        const words = explanation(choice).flatMap((part) => [...part.cloneNode(true).childNodes, " "]);
        answers.append(make("p", {}, label, ...words));
      });
    }
    questions.at(-1).choices[0].parentElement.after(answers);
    afterwards.push(() => answers.remove());
  });
  addEventListener("afterprint", () => {
    afterwards.forEach((undo) => undo());
    afterwards = [];
  });
}
